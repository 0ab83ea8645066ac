"""HTTP to one repository of a registry (OCI distribution specification, pulling).

Where requests may go is said by the access that the administrator gave: `egress` and `transport` hold it, as for hubs.
Credentials go to the registry itself and to its token server, the token to the registry alone, and neither ever along
with a redirect.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.answers import check_encoding, network_errors, read_body, redirect_errors
from embedding_model.sources.deadline import deadline
from embedding_model.sources.egress import Egress, host_of, origin_of, parse_endpoint
from embedding_model.sources.registry.challenge import Challenge, choose_challenge
from embedding_model.sources.registry.credentials import Credentials
from embedding_model.sources.registry.errors import access_denied, error_of
from embedding_model.sources.registry.reference import Reference
from embedding_model.sources.transport import open_client

# at INFO httpx logs every URL, and the signed URL of an object store is a credential
logging.getLogger("httpx").setLevel(logging.WARNING)

_ANSWER_SECONDS = 60.0  # until the body begins, tokens and redirects included
_MAX_REDIRECTS = 5
_TOKEN_LIMIT = 1024 * 1024  # bytes of a token server's answer


class _Token(BaseModel):
    """A token server names the token `token`, `access_token` or both."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: SecretStr | None = None
    access_token: SecretStr | None = None

    def value(self) -> str:
        chosen = self.token or self.access_token
        return chosen.get_secret_value() if chosen else ""


class RegistryClient:
    """Requests about the image of `reference`. Thread-safe.

    `client` replaces the one that `open_client` gives, with its guard; it is not closed with this one. Raises
    ValueError for an access that cannot be used.
    """

    def __init__(
        self,
        *,
        access: Access,
        reference: Reference,
        credentials: Credentials | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        self._base = parse_endpoint(access.endpoint)
        self._egress = Egress.of(access)
        self._reference = reference
        self._credentials = credentials
        self._owned = client is None
        self._client = client or open_client(access)
        self._lock = threading.Lock()
        self._authorization = f"Bearer {access.token}" if access.token is not None else None

    @property
    def name(self) -> str:
        return self._reference.registry

    def close(self) -> None:
        if self._owned:
            self._client.close()

    @contextmanager
    def get(
        self, path: str, *, what: str, headers: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> Iterator[httpx.Response]:
        """A streamed answer of status 2xx. `path` is below the repository; `what` names in messages what was asked for.

        `seconds` bounds the whole answer, its body included; without it only the time until the body begins is bounded.
        Raises Refusal or Unavailable as `error_of` says, and Unavailable for every failure of the network, also one in
        the middle of the body.
        """
        url = httpx.URL(f"{self._base}/v2/{self._reference.repository}/{path}")
        began = time.monotonic()
        server = f"registry {self.name}"
        with network_errors(server):
            with redirect_errors(server), deadline(min(seconds or _ANSWER_SECONDS, _ANSWER_SECONDS)):
                response = self._follow(url, headers=headers or {}, what=what)
            try:
                check_encoding(response, server=server)
                with deadline(None if seconds is None else seconds - (time.monotonic() - began)):
                    yield response
            finally:
                response.close()

    def _follow(self, url: httpx.URL, *, headers: Mapping[str, str], what: str) -> httpx.Response:
        trusted = True  # no answer has led elsewhere so far
        for _ in range(_MAX_REDIRECTS + 1):
            trusted = trusted and origin_of(url) == self._egress.origin
            response = self._ask(url, headers=headers, trusted=trusted)
            if response.is_success:
                return response
            try:
                if response.status_code >= 400:
                    raise self._error(response, what=what)
                location = response.headers.get("location")
                if not response.is_redirect or location is None:
                    raise Unavailable(f"registry {self.name} answered {response.status_code} for {what}")
                url = response.url.join(location)
                self._check_host(url, doing="sends its reader to")
            finally:
                response.close()
        raise Unavailable(f"registry {self.name} redirected more than {_MAX_REDIRECTS} times for {what}")

    def _ask(self, url: httpx.URL, *, headers: Mapping[str, str], trusted: bool) -> httpx.Response:
        """One answer; the registry's wish for credentials is met once."""
        authorization = self._authorization if trusted else None
        response = self._send(url, headers=headers, authorization=authorization)
        if response.status_code != 401 or not trusted:
            return response
        challenge = choose_challenge(response.headers.get_list("www-authenticate"))
        response.close()
        return self._send(url, headers=headers, authorization=self._renew(authorization, challenge=challenge))

    def _renew(self, refused: str | None, *, challenge: Challenge | None) -> str:
        """What to send instead of what was refused; a token that another thread has just got is used as it is."""
        with self._lock:
            if self._authorization == refused:
                self._authorization = self._authenticate(challenge)
            assert self._authorization is not None
            return self._authorization

    def _authenticate(self, challenge: Challenge | None) -> str:
        if challenge is None:
            raise access_denied(self._reference, "it asks for credentials in a way that is not known here")
        if challenge.scheme == "basic":
            if self._credentials is None or self._credentials.identity_token is not None:
                raise access_denied(self._reference, "it asks for user name and password")
            return self._credentials.basic()
        return f"Bearer {self._fetch_token(challenge)}"

    def _fetch_token(self, challenge: Challenge) -> str:
        try:
            realm = httpx.URL(challenge.realm)
        except httpx.InvalidURL:
            realm = httpx.URL()
        self._check_host(realm, doing="asks for credentials to be sent to")
        fields = {"scope": challenge.scope or f"repository:{self._reference.repository}:pull"}
        if challenge.service is not None:
            fields["service"] = challenge.service
        request = self._token_request(realm, fields=fields)
        response = self._client.send(request, stream=True, follow_redirects=False, auth=None)
        try:
            if response.status_code >= 400:
                raise self._error(response, what="a token")
            check_encoding(response, server=f"the token server of registry {self.name}")
            body = read_body(response, limit=_TOKEN_LIMIT)
        finally:
            response.close()
        try:
            token = _Token.model_validate_json(body).value()
        except ValidationError:
            token = ""
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise Unavailable(f"the token server of registry {self.name} sent no usable token")
        return token

    def _token_request(self, realm: httpx.URL, *, fields: Mapping[str, str]) -> httpx.Request:
        headers = {"user-agent": "embedding-operator", "accept-encoding": "identity"}
        credentials = self._credentials
        if credentials is not None and credentials.identity_token is not None:
            form = {**fields, "grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            form["client_id"] = "embedding-operator"
            headers["content-type"] = "application/x-www-form-urlencoded"
            return self._client.build_request("POST", realm, headers=headers, content=urlencode(form))
        if credentials is not None:
            headers["authorization"] = credentials.basic()
        return self._client.build_request("GET", realm.copy_merge_params(fields), headers=headers)

    def _send(self, url: httpx.URL, *, headers: Mapping[str, str], authorization: str | None) -> httpx.Response:
        # identity: sizes, ranges and hashes are of the blob, not of a compressed form of it
        sent = {"accept-encoding": "identity", "user-agent": "embedding-operator", **headers}
        if authorization is not None:
            sent["authorization"] = authorization
        request = self._client.build_request("GET", url, headers=sent)
        return self._client.send(request, stream=True, follow_redirects=False, auth=None)

    def _check_host(self, url: httpx.URL, *, doing: str) -> None:
        """Refuses RegistryNotAllowed: another try would lead to the same place."""
        try:
            self._egress.check_redirect(url, name=f"registry {self.name}")
        except Unavailable:
            raise Refusal(
                Reason.REGISTRY_NOT_ALLOWED,
                f"registry {self.name} {doing} {host_of(url)[:253]!r} over {url.scheme[:20]!r}, which is not allowed;"
                " the administrator can add the host to the registry's redirectHosts in the Helm values (https only)",
            ) from None

    def _error(self, response: httpx.Response, *, what: str) -> Exception:
        return error_of(response.status_code, response.headers, reference=self._reference, what=what)
