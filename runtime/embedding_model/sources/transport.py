"""The HTTP client for an Access: checked addresses, its own certificates, the environment's proxies, bounded time.

httpx and httpcore do the protocol. What is added sits where the connection is made, because only there it is known
which address a name has: a name that is checked first and resolved again afterwards may have another one (DNS
rebinding). TLS still verifies the host's name.
"""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore
import httpx

from embedding_model.sources.access import Access
from embedding_model.sources.addresses import Address, parse_address
from embedding_model.sources.deadline import seconds_left
from embedding_model.sources.egress import Egress, host_of, not_allowed
from embedding_model.sources.proxies import Proxies

Resolver = Callable[[str, int], Sequence[str]]

_TIMEOUT = httpx.Timeout(30, connect=10)  # seconds; 30 without a single byte is a dead connection, not a slow one
_CONNECTIONS = 64  # at once, over all hosts of one access; a download uses at most 32
_KEPT = 16  # idle ones
_KEPT_SECONDS = 15.0

_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.TimeoutException: httpx.TimeoutException,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.NetworkError: httpx.NetworkError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.ProtocolError: httpx.ProtocolError,
}


def resolve_host(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def open_client(access: Access, *, resolver: Resolver = resolve_host) -> httpx.Client:
    """A client that reaches only what the access allows; keeps no cookies and follows no redirect by itself.

    Proxies and SSL_CERT_FILE come from the environment of the process. Raises ValueError for an endpoint, a redirect
    host, certificates or a proxy that cannot be used.
    """
    transport = GuardedTransport(
        Egress.of(access),
        context=_trust(access.certificates),
        proxies=Proxies.from_environment(),
        resolver=resolver,
    )
    # a jar that takes nothing: an answer leaves no trace in the next request
    cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(transport=transport, timeout=_TIMEOUT, follow_redirects=False, trust_env=False, cookies=cookies)


class GuardedTransport(httpx.BaseTransport):
    """Sends straight to checked addresses, or through a proxy, which resolves names itself."""

    def __init__(self, egress: Egress, *, context: ssl.SSLContext, proxies: Proxies, resolver: Resolver) -> None:
        self._egress = egress
        self._context = context
        self._proxies = proxies
        self._direct = httpcore.ConnectionPool(
            ssl_context=context, network_backend=_GuardedBackend(egress, resolver=resolver), **_LIMITS
        )
        self._proxied = {url: self._open_proxy(url) for url in dict.fromkeys(proxies.by_scheme.values())}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("expected a request of a synchronous client")
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        pool = self._pool_for(request.url)
        with _as_httpx():
            answer = pool.handle_request(sent)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=dict(answer.extensions)
        )

    def close(self) -> None:
        self._direct.close()
        for pool in self._proxied.values():
            pool.close()

    def _pool_for(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxy = self._proxies.choose(url)
        if proxy is None:
            return self._direct
        self._egress.check_literal(host_of(url))
        return self._proxied[proxy]

    def _open_proxy(self, url: str) -> httpcore.HTTPProxy:
        proxy = httpx.Proxy(url)
        return httpcore.HTTPProxy(
            proxy_url=httpcore.URL(
                scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=b"/"
            ),
            proxy_auth=proxy.raw_auth,
            ssl_context=self._context,
            proxy_ssl_context=_trust(None) if proxy.url.scheme == "https" else None,
            network_backend=_TimedBackend(),
            **_LIMITS,
        )


_LIMITS: dict[str, Any] = {
    "max_connections": _CONNECTIONS,
    "max_keepalive_connections": _KEPT,
    "keepalive_expiry": _KEPT_SECONDS,
}


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _TimedBackend(httpcore.SyncBackend):
    """Connections whose every step ends with the present deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = super().connect_tcp(host, port, _time_for(timeout, late=httpcore.ConnectTimeout))
        return _TimedStream(stream)


class _GuardedBackend(_TimedBackend):
    """Resolves a host itself and connects only to addresses that the rules allow for it."""

    def __init__(self, egress: Egress, *, resolver: Resolver) -> None:
        self._egress = egress
        self._resolver = resolver

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        for address in self._addresses(host, port):
            try:
                return super().connect_tcp(str(address), port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        """What may be connected to; Unavailable when the host has addresses, and none that is allowed."""
        try:
            found = [parse_address(text) for text in self._resolver(host, port)]
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        addresses = [address for address in found if address is not None]
        allowed = [address for address in addresses if self._egress.allows(address, host=host.lower())]
        if addresses and not allowed:
            raise not_allowed(host, address=addresses[0])
        return allowed


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_for(timeout, late=httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _time_for(timeout, late=httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _time_for(timeout, late=httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _time_for(timeout: float | None, *, late: type[Exception]) -> float | None:
    left = seconds_left(timeout)
    if left == 0:
        raise late("the time for this request is over")
    return left


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpcore's errors as httpx's, which the callers of a client know."""
    try:
        yield
    except tuple(_ERRORS) as error:
        kind = next(_ERRORS[base] for base in type(error).__mro__ if base in _ERRORS)
        raise kind(str(error)) from error


def _trust(certificates: str | None) -> ssl.SSLContext:
    """The administrator's certificate authorities, or the system's (SSL_CERT_FILE, SSL_CERT_DIR, else certifi)."""
    if certificates is None or not certificates.strip():
        try:
            return httpx.create_ssl_context()
        except OSError as error:
            raise ValueError("the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read") from error
    try:
        return ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, TypeError) as error:
        raise ValueError(
            "the certificates of the endpoint are not PEM: expected one or more blocks from -----BEGIN CERTIFICATE-----"
            " to -----END CERTIFICATE-----"
        ) from error
