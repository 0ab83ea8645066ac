"""Which addresses lead to the internet, which inside, and which nobody is sent to."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.sources.addresses import Reach, parse_address, reach_of


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("8.8.8.8", Reach.PUBLIC),
        ("52.84.1.1", Reach.PUBLIC),
        ("2600:9000:20a0::1", Reach.PUBLIC),
        ("64:ff9b::8.8.8.8", Reach.PUBLIC),
        ("::ffff:8.8.8.8", Reach.PUBLIC),
        ("127.0.0.1", Reach.INTERNAL),
        ("127.8.9.1", Reach.INTERNAL),
        ("10.96.0.1", Reach.INTERNAL),
        ("172.16.0.1", Reach.INTERNAL),
        ("192.168.1.1", Reach.INTERNAL),
        ("100.64.0.1", Reach.INTERNAL),
        ("198.18.0.1", Reach.INTERNAL),
        ("192.0.2.1", Reach.INTERNAL),
        ("::1", Reach.INTERNAL),
        ("fd12:3456::1", Reach.INTERNAL),
        ("::ffff:10.0.0.1", Reach.INTERNAL),
        ("::ffff:127.0.0.1", Reach.INTERNAL),
        ("64:ff9b::10.0.0.1", Reach.INTERNAL),
        ("169.254.169.254", Reach.FORBIDDEN),
        ("169.254.1.1", Reach.FORBIDDEN),
        ("::ffff:169.254.169.254", Reach.FORBIDDEN),
        ("64:ff9b::169.254.169.254", Reach.FORBIDDEN),
        ("2002:a9fe:a9fe::1", Reach.FORBIDDEN),
        ("2002:808:808::1", Reach.FORBIDDEN),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Reach.FORBIDDEN),
        ("fe80::1", Reach.FORBIDDEN),
        ("fe80::1%eth0", Reach.FORBIDDEN),
        ("fec0::1", Reach.FORBIDDEN),
        ("ff02::1", Reach.FORBIDDEN),
        ("224.0.0.1", Reach.FORBIDDEN),
        ("0.0.0.0", Reach.FORBIDDEN),
        ("0.1.2.3", Reach.FORBIDDEN),
        ("::", Reach.FORBIDDEN),
        ("::8.8.8.8", Reach.FORBIDDEN),
        ("240.0.0.1", Reach.FORBIDDEN),
        ("255.255.255.255", Reach.FORBIDDEN),
        ("168.63.129.16", Reach.FORBIDDEN),
        ("100.100.100.200", Reach.FORBIDDEN),
        ("192.0.0.192", Reach.FORBIDDEN),
        ("fd00:ec2::254", Reach.FORBIDDEN),
        ("::ffff:100.100.100.200", Reach.FORBIDDEN),
    ],
)
def test_every_kind_of_address_has_its_reach(text: str, reach: Reach) -> None:
    assert reach_of(ip_address(text)) is reach


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0xA9.254.0xa9fe", "169.254.169.254"),
        ("::1", "::1"),
        ("::ffff:7f00:1", "::ffff:127.0.0.1"),
    ],
)
def test_an_address_is_known_in_every_form_that_a_c_library_takes(host: str, address: str) -> None:
    assert parse_address(host) == ip_address(address)


@pytest.mark.parametrize("host", ["hub.example", "1.2.3.4.5", "256.256.256.256", "0x7g", "1.example", "", "a", "face"])
def test_a_name_is_no_address(host: str) -> None:
    assert parse_address(host) is None


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_that_stands_for_an_ipv4_one_reaches_no_further(address: IPv4Address) -> None:
    for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert reach_of(IPv6Address(form)) is reach_of(address)


@given(st.ip_addresses())
def test_only_a_global_address_is_public(address: IPv4Address | IPv6Address) -> None:
    if reach_of(address) is Reach.PUBLIC:
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        nat64 = isinstance(address, IPv6Address) and str(address).startswith("64:ff9b:")
        assert inner.is_global or nat64
        assert not inner.is_private or nat64
        assert not inner.is_multicast


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text: str) -> None:
    found = parse_address(text)
    assert found is None or isinstance(found, IPv4Address | IPv6Address)
