"""HTTP to a hub: which redirects are followed, where the token goes, and what an error answer means.

Redirects: to the endpoint's own origin, and to any other host over https, because that is how the hub hands large
files to its content delivery network. Never to another host over plain http: an endpoint that could send the caller to
http://169.254.169.254 would turn a download into a request inside the cluster. The token goes to the endpoint's origin
and nowhere else.

The process environment is honoured (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE): only whoever runs the process sets it, and
clusters behind a proxy need it.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.hub_errors import Asked, error_of

# at INFO httpx logs every URL, and the signed URL of a CDN is a credential
logging.getLogger("httpx").setLevel(logging.WARNING)

_TIMEOUT = httpx.Timeout(30, connect=10)  # seconds; 30 without a single byte is a dead connection, not a slow one
_MAX_REDIRECTS = 5  # a renamed repository, then the CDN, take two


class HubClient:
    """Requests below one endpoint. Thread-safe, as httpx.Client is. Raises ValueError for an unusable endpoint."""

    def __init__(self, *, endpoint: str, token: str | None = None, client: httpx.Client | None = None) -> None:
        self._base = _parse_endpoint(endpoint)
        self._token = _check_token(token)
        self._owned = client is None
        self._client = client or httpx.Client(timeout=_TIMEOUT)

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
    ) -> Iterator[httpx.Response]:
        """A streamed answer of status 2xx.

        `path` is relative to the endpoint and already quoted. With `commit`, an answer that says it comes from another
        commit (X-Repo-Commit) is refused. Raises Refusal or Unavailable as `error_of` says, and Unavailable for every
        failure of the network, also one in the middle of the body.
        """
        try:
            response = self._follow(
                httpx.URL(f"{self._base}/{path}", params=params), headers=headers or {}, asked=asked, commit=commit
            )
            try:
                yield response
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise Unavailable(f"hub {self.name} did not answer in time ({type(error).__name__})") from error
        except httpx.RequestError as error:
            raise Unavailable(f"hub {self.name} could not be read: {_cause(error)}") from error

    def _follow(
        self, url: httpx.URL, *, headers: Mapping[str, str], asked: Asked, commit: str | None
    ) -> httpx.Response:
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(url, headers=headers)
            try:
                _check_commit(response, commit=commit, asked=asked)
                if response.status_code >= 400:
                    raise error_of(response.status_code, response.headers, asked=asked)
                if response.is_success:
                    return response
                url = self._next_url(response)
            except BaseException:
                response.close()
                raise
            response.close()
        raise Unavailable(f"hub {self.name} redirected more than {_MAX_REDIRECTS} times for {asked.repo}")

    def _send(self, url: httpx.URL, *, headers: Mapping[str, str]) -> httpx.Response:
        # identity: sizes, ranges and hashes are of the file, not of a compressed form of it
        sent = {"accept-encoding": "identity", "user-agent": "embedding-operator", **headers}
        if self._token is not None and _origin(url) == _origin(self._base):
            sent["authorization"] = f"Bearer {self._token}"
        request = self._client.build_request("GET", url, headers=sent)
        return self._client.send(request, stream=True, follow_redirects=False, auth=None)

    def _next_url(self, response: httpx.Response) -> httpx.URL:
        location = response.headers.get("location")
        if not response.is_redirect or location is None:
            raise Unavailable(f"hub {self.name} answered {response.status_code}; expected 200, 206 or a redirect")
        target = response.url.join(location)  # httpx has refused what is not a URL while reading the answer
        if _origin(target) != _origin(self._base) and target.scheme != "https":
            raise Unavailable(
                f"hub {self.name} redirected to {target.host!r} over {target.scheme!r}; only its own origin and other"
                " hosts over https are followed"
            )
        return target


def quote_path(path: str) -> str:
    """A file's path in a URL: every part percent-encoded, slashes kept."""
    return quote(path, safe="/")


def quote_revision(revision: str) -> str:
    """A branch, tag or commit as one URL segment: the hub wants `refs%2Fpr%2F1`."""
    return quote(revision, safe="")


def _parse_endpoint(endpoint: str) -> httpx.URL:
    try:
        url = httpx.URL(endpoint.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ValueError("the hub endpoint is not a URL; expected something like https://huggingface.co") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError(
            "the hub endpoint must be http(s)://host[:port][/path] without user, password, query or fragment"
        )
    return url


def _check_token(token: str | None) -> str | None:
    # h11 would quote the whole header, token included, in its own message
    if token is not None and (not token or any(not 33 <= ord(character) <= 126 for character in token)):
        raise ValueError("the hub token is empty or holds a blank, a line break or another unprintable character")
    return token


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return (url.scheme, url.host.lower(), url.port or default)


def _check_commit(response: httpx.Response, *, commit: str | None, asked: Asked) -> None:
    answered = response.headers.get("x-repo-commit")
    if commit is not None and answered is not None and answered != commit:
        raise Refusal(
            Reason.HASH_MISMATCH,
            f"hub {asked.hub} answered for commit {answered[:40]!r} of {asked.repo}; expected {commit}",
        )


def _cause(error: httpx.RequestError) -> str:
    """The kind of failure and the operating system's words for it, never the URL (a CDN's URL is a credential)."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{type(error).__name__}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
