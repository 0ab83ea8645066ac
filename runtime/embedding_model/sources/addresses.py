"""What an IP address reaches: the internet, the inside of a network, or something that nobody should be sent to."""

import re
import socket
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Services of clouds that answer whoever asks from inside, at addresses that other rules would let pass.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "168.63.129.16",  # Azure
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: how the IPv4 internet looks from a network with IPv6 only
_TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))  # Teredo, 6to4: would carry an IPv4 address past us
_THIS_NETWORK = ip_network("0.0.0.0/8")
_NUMBERS = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)


class Reach(Enum):
    PUBLIC = "public"
    INTERNAL = "internal"  # loopback, private, shared (RFC 6598), and whatever else is not routed globally
    FORBIDDEN = "forbidden"  # link-local, multicast, unspecified, reserved, metadata


def reach_of(address: Address) -> Reach:
    """Where the address leads; an IPv6 address that stands for an IPv4 one is judged as that."""
    address = _unwrap(address)
    if address in _METADATA or any(address in network for network in _TUNNELS):
        return Reach.FORBIDDEN
    if address.is_loopback:
        return Reach.INTERNAL
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return Reach.FORBIDDEN
    if address in _THIS_NETWORK:
        return Reach.FORBIDDEN
    # is_site_local: fec0::/10, withdrawn by RFC 3879 but still what a router may treat as its own
    if isinstance(address, IPv6Address) and address.is_site_local:
        return Reach.FORBIDDEN
    return Reach.PUBLIC if address.is_global else Reach.INTERNAL


def parse_address(host: str) -> Address | None:
    """The address that a host is, also in the forms that only C libraries take (`2130706433`, `0x7f.1`, `0177.0.0.1`).

    None for a name.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    if not _NUMBERS.fullmatch(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _unwrap(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        address = IPv6Address(int(address))  # networks hold addresses without a zone
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
