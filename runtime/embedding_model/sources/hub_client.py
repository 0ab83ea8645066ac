"""HTTP to a hub: where the token goes, which redirects are followed, and how long an answer may take.

The token goes to the endpoint's own origin, until an answer has led elsewhere, and nowhere else; `egress` says where an
answer may lead, `transport` checks which addresses are connected to.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.answers import check_encoding, network_errors, redirect_errors
from embedding_model.sources.deadline import deadline
from embedding_model.sources.egress import Egress, origin_of, parse_endpoint
from embedding_model.sources.hub_errors import Asked, error_of
from embedding_model.sources.transport import open_client

# at INFO httpx logs every URL, and the signed URL of a CDN is a credential
logging.getLogger("httpx").setLevel(logging.WARNING)

_ANSWER_SECONDS = 60.0  # until the body begins, redirects included; a hub that sends headers byte by byte ends here
_REDIRECT_LIMIT = 64 * 1024  # bytes of a redirect's body; a link for people
_MAX_REDIRECTS = 5  # a renamed repository, then the CDN, take two


class HubClient:
    """Requests below one endpoint. Thread-safe, as httpx.Client is.

    `client` replaces the one that `open_client` gives, with its guard; it is not closed with this one. Raises
    ValueError for an access that cannot be used.
    """

    def __init__(self, access: Access, *, client: httpx.Client | None = None) -> None:
        self._base = parse_endpoint(access.endpoint)
        self._egress = Egress.of(access)
        self._token = _check_token(access.token)
        self._owned = client is None
        self._client = client or open_client(access)

    @property
    def name(self) -> str:
        """Host and port of the endpoint, for messages."""
        return self._base.netloc.decode()

    def close(self) -> None:
        if self._owned:
            self._client.close()

    @contextmanager
    def get(
        self,
        path: str,
        *,
        asked: Asked,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        commit: str | None = None,
        seconds: float | None = None,
    ) -> Iterator[httpx.Response]:
        """A streamed answer of status 2xx, or 304 where `headers` ask for it (If-None-Match).

        `path` is relative to the endpoint and already quoted. With `commit`, an answer that says it comes from another
        commit (X-Repo-Commit) is refused. `seconds` bounds the whole answer, its body included; without it only the
        time until the body begins is bounded. Raises Refusal or Unavailable as `error_of` says, and Unavailable for
        every failure of the network, also one in the middle of the body.
        """
        url = httpx.URL(f"{self._base}/{path}", params=params)
        began = time.monotonic()
        server = f"hub {self.name}"
        with network_errors(server):
            with redirect_errors(server), deadline(min(seconds or _ANSWER_SECONDS, _ANSWER_SECONDS)):
                response = self._follow(url, headers=headers or {}, asked=asked, commit=commit)
            try:
                with deadline(None if seconds is None else seconds - (time.monotonic() - began)):
                    yield response
            finally:
                response.close()

    def _follow(
        self, url: httpx.URL, *, headers: Mapping[str, str], asked: Asked, commit: str | None
    ) -> httpx.Response:
        trusted = True  # no answer has led elsewhere so far
        for _ in range(_MAX_REDIRECTS + 1):
            trusted = trusted and origin_of(url) == self._egress.origin
            response = self._send(url, headers=headers, trusted=trusted)
            try:
                _check_commit(response, commit=commit, asked=asked)
                if response.status_code >= 400:
                    raise error_of(
                        response.status_code, response.headers, asked=asked, authenticated=self._token is not None
                    )
                if response.is_success or (response.status_code == 304 and "if-none-match" in headers):
                    check_encoding(response, server=f"hub {self.name}")
                    return response
                url = self._next_url(response)
                _read_rest(response)
            except BaseException:
                response.close()
                raise
            response.close()
        raise Unavailable(f"hub {self.name} redirected more than {_MAX_REDIRECTS} times for {asked.repo}")

    def _send(self, url: httpx.URL, *, headers: Mapping[str, str], trusted: bool) -> httpx.Response:
        # identity: sizes, ranges and hashes are of the file, not of a compressed form of it
        sent = {"accept-encoding": "identity", "user-agent": "embedding-operator", **headers}
        if self._token is not None and trusted:
            sent["authorization"] = f"Bearer {self._token}"
        request = self._client.build_request("GET", url, headers=sent)
        return self._client.send(request, stream=True, follow_redirects=False, auth=None)

    def _next_url(self, response: httpx.Response) -> httpx.URL:
        location = response.headers.get("location")
        if not response.is_redirect or location is None:
            raise Unavailable(f"hub {self.name} answered {response.status_code}; expected 200, 206 or a redirect")
        target = response.url.join(location)
        self._egress.check_redirect(target, name=f"hub {self.name}")
        return target


def quote_path(path: str) -> str:
    """A file's path in a URL: every part percent-encoded, slashes kept."""
    return quote(path, safe="/")


def quote_revision(revision: str) -> str:
    """A branch, tag or commit as one URL segment: the hub wants `refs%2Fpr%2F1`."""
    return quote(revision, safe="")


def _check_token(token: str | None) -> str | None:
    # h11 would quote the whole header, token included, in its own message
    if token is not None and (not token or any(not 33 <= ord(character) <= 126 for character in token)):
        raise ValueError("the hub token is empty or holds a blank, a line break or another unprintable character")
    return token


def _read_rest(response: httpx.Response) -> None:
    """Of a redirect: only a connection whose answer was read to its end is used again."""
    received = 0
    for block in () if response.is_stream_consumed else response.iter_raw():
        received += len(block)
        if received > _REDIRECT_LIMIT:
            return


def _check_commit(response: httpx.Response, *, commit: str | None, asked: Asked) -> None:
    answered = response.headers.get("x-repo-commit")
    if commit is not None and answered is not None and answered != commit:
        raise Refusal(
            Reason.HASH_MISMATCH,
            f"hub {asked.hub} answered for commit {answered[:40]!r} of {asked.repo}; expected {commit}",
        )
