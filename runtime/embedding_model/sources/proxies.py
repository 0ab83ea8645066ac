"""The proxy that a request takes, by the environment of the process: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY.

NO_PROXY is read as Go's programs (kubelet, containerd) read it, because clusters set one value for all: names with the
names below them, `host:port`, addresses, networks such as 10.0.0.0/8 (for hosts that are addresses), `*` for
everything; loopback never takes a proxy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self
from urllib.request import getproxies

import httpx

from embedding_model.sources.addresses import Address, parse_address


@dataclass(frozen=True)
class Proxies:
    """`by_scheme` holds a proxy's URL for http, https or all; `bypass` the entries of NO_PROXY."""

    by_scheme: Mapping[str, str]
    bypass: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls) -> Self:
        """Raises ValueError, without repeating it (it may hold a password), for a proxy that cannot be used."""
        found = getproxies()
        by_scheme = {scheme: found[scheme] for scheme in ("http", "https", "all") if found.get(scheme)}
        for scheme, url in by_scheme.items():
            by_scheme[scheme] = _check_proxy(url, variable=f"{scheme.upper()}_PROXY")
        entries = (entry.strip().lower() for entry in found.get("no", "").split(","))
        return cls(by_scheme=by_scheme, bypass=tuple(entry for entry in entries if entry))

    def choose(self, url: httpx.URL) -> str | None:
        """The URL of the proxy for a request; None when it goes straight."""
        proxy = self.by_scheme.get(url.scheme) or self.by_scheme.get("all")
        return None if proxy is None or self._goes_straight(url) else proxy

    def _goes_straight(self, url: httpx.URL) -> bool:
        host = url.raw_host.decode("ascii").lower()
        address = parse_address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        return any(_matches(entry, host=host, address=address, port=port) for entry in self.bypass)


def _matches(entry: str, *, host: str, address: Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if address is not None and _names_address(entry.strip("[]"), address=address):
        return True
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal() and (":" not in name or name.startswith("[")):
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    if address is not None:
        return _names_address(entry, address=address)
    suffix = entry.removeprefix("*").removeprefix(".")
    return host.endswith(f".{suffix}") or (host == suffix and not entry.startswith((".", "*")))


def _names_address(entry: str, *, address: Address) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False


def _check_proxy(url: str, *, variable: str) -> str:
    url = url if "://" in url else f"http://{url}"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{variable} is not a URL; expected http://HOST:PORT") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{variable} must be http(s)://[USER:PASSWORD@]HOST[:PORT]; SOCKS proxies cannot be used")
    return url
