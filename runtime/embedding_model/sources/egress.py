"""Where requests may go: which hosts an answer may redirect to, and which addresses a host may have.

Everything that a server answers is hostile, also what it redirects to: a hub that could send its reader to
http://169.254.169.254 would turn a download into a request inside the cluster. So a redirect is followed to the
endpoint's own origin, or over https to a host that the administrator allows, and the address that is really connected
to is checked, whatever the host's name resolved to.

    a host that is written out (the endpoint's, or in redirect_hosts)    public and internal addresses
    a host that only a pattern in redirect_hosts allows                  public addresses
    an address that is written out                                       itself, whatever it is
    link-local, multicast, reserved and metadata addresses otherwise     never
"""

import re
from dataclasses import dataclass
from typing import Self

import httpx

from embedding_model.refusal import Unavailable
from embedding_model.sources.access import Access
from embedding_model.sources.addresses import Address, Reach, parse_address, reach_of

Origin = tuple[str, str, int | None]

_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Egress:
    """The rules of one Access. Hosts are lower-case ASCII, IPv6 addresses without brackets."""

    origin: Origin
    hosts: frozenset[str]
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, access: Access) -> Self:
        """Raises ValueError for an endpoint or a redirect host that cannot be one."""
        hosts = [_check_host(host) for host in access.redirect_hosts]
        return cls(
            origin=origin_of(parse_endpoint(access.endpoint)),
            hosts=frozenset(host for host in hosts if not host.startswith("*")),
            suffixes=tuple(host[1:] for host in hosts if host.startswith("*")),
        )

    def check_redirect(self, target: httpx.URL, *, name: str) -> None:
        """Raises Unavailable unless an answer of the server `name` may redirect to `target`."""
        complaint = self._complaint(target)
        if complaint is not None:
            raise Unavailable(
                f"{name} redirected to {host_of(target)[:253]!r}, {complaint}; followed are its own origin, and over"
                " https the hosts that the operator's settings allow (redirectHosts)"
            )

    def check_literal(self, host: str) -> None:
        """Raises Unavailable for a host that is an address which may not be reached; names pass.

        For requests through a proxy, which resolves names itself.
        """
        address = parse_address(host)
        if address is not None and not self.allows(address, host=host):
            raise not_allowed(host, address=address)

    def allows(self, address: Address, *, host: str) -> bool:
        """Whether `host` may be reached at `address`."""
        reach = reach_of(address)
        if host in self.hosts or host == self.origin[1]:
            # a name says nothing about link-local addresses: whoever holds the name could choose the metadata service
            return reach is not Reach.FORBIDDEN or parse_address(host) is not None
        return reach is Reach.PUBLIC

    def _complaint(self, target: httpx.URL) -> str | None:
        if target.userinfo:
            return "with a user or password in the URL"
        origin = origin_of(target)
        if origin == self.origin:
            return None
        if target.scheme != "https":
            return f"over {target.scheme[:20]!r}"
        host = origin[1]
        if host in self.hosts or any(host.endswith(suffix) and len(host) > len(suffix) for suffix in self.suffixes):
            return None
        return "a host that is not allowed"


def not_allowed(host: str, *, address: Address) -> Unavailable:
    return Unavailable(
        f"{host[:253]} has the address {address}, which is not a public one; only a host that the operator's settings"
        " write out (an endpoint, or redirectHosts without `*`) may have an internal address, and link-local or"
        " metadata addresses must themselves be written there"
    )


def parse_endpoint(endpoint: str) -> httpx.URL:
    """Raises ValueError, without repeating it, for what is no usable base URL."""
    try:
        url = httpx.URL(endpoint.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ValueError("the endpoint is not a URL; expected something like https://huggingface.co") from error
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("the endpoint must be http(s)://host[:port][/path] without user, password, query or fragment")
    return url


def origin_of(url: httpx.URL) -> Origin:
    """Scheme, host and port, by which a token's place is decided."""
    return (url.scheme, host_of(url), url.port or _DEFAULT_PORTS.get(url.scheme))


def host_of(url: httpx.URL) -> str:
    """The host as it is connected to: lower-case, in its ASCII form."""
    return url.raw_host.decode("ascii").lower()


def _check_host(host: str) -> str:
    lowered = host.lower()
    name = lowered.removeprefix("*.")
    if _NAME.fullmatch(name) and (parse_address(name) is None or name == lowered):
        return lowered
    if ":" in host and parse_address(lowered) is not None:
        return lowered
    raise ValueError(
        f"{host[:253]!r} is no redirect host; expected a name (cdn.example.com), a pattern (*.example.com) or an"
        " address, without scheme, port or path"
    )
