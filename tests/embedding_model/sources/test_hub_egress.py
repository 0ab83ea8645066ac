"""Which hosts an answer may redirect to, and at which addresses a host may be reached."""

from ipaddress import ip_address

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.refusal import Unavailable
from embedding_model.sources.access import HUB_REDIRECT_HOSTS, Access
from embedding_model.sources.egress import Egress


def egress(*redirect_hosts: str, endpoint: str = "https://hub.example") -> Egress:
    return Egress.of(Access(endpoint=endpoint, redirect_hosts=redirect_hosts))


def may_redirect(rules: Egress, location: str) -> bool:
    try:
        rules.check_redirect(httpx.URL(location), name="hub hub.example")
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize(
    ("location", "allowed"),
    [
        ("https://cdn-lfs.huggingface.co/x?Signature=1", True),
        ("https://cdn-lfs-us-1.hf.co/x", True),
        ("https://cas-bridge.xethub.hf.co/x", True),
        ("https://CDN.HF.CO:8443/x", True),
        ("https://hf.co/x", False),
        ("https://.hf.co/x", False),
        ("https://evilhf.co/x", False),
        ("https://hf.co.evil.example/x", False),
        ("https://cdn.hf.co./x", False),
        ("http://cdn.hf.co/x", False),
        ("https://hub.example:8443/x", False),
        ("https://hub.example:443/x", True),
        ("https://HUB.example/x", True),
        ("https://hub.example./x", False),
        ("https://user@hub.example/x", False),
    ],
)
def test_a_pattern_stands_for_names_below_it(location: str, allowed: bool) -> None:
    assert may_redirect(egress(*HUB_REDIRECT_HOSTS), location) is allowed


def test_a_host_that_is_written_out_is_itself_only() -> None:
    rules = egress("CDN.example", "10.1.2.3", "fd00::1")

    assert may_redirect(rules, "https://cdn.example/x")
    assert may_redirect(rules, "https://10.1.2.3:8443/x")
    assert may_redirect(rules, "https://[fd00::1]/x")
    assert not may_redirect(rules, "https://a.cdn.example/x")
    assert not may_redirect(rules, "https://167838211/x")  # 10.1.2.3 in another form
    assert not may_redirect(rules, "https://10.1.2.4/x")


def test_an_internationalised_host_is_compared_in_its_ascii_form() -> None:
    assert may_redirect(egress("xn--mnchen-3ya.example"), "https://münchen.example/x")
    assert not may_redirect(egress("cdn.example"), "https://cdn。example.evil.example/x")


@pytest.mark.parametrize(
    "host",
    ["", "*", "*.", "a.*", "*.*.example", "https://cdn.example", "cdn.example:443", "cdn.example/x", "user@cdn.example",
     "cdn.example.", "münchen.example", "*.10.0.0.1", "a b", "a..b", "*.0x7f.1", "[::1]"],
)  # fmt: skip
def test_what_is_no_redirect_host_is_told(host: str) -> None:
    with pytest.raises(ValueError, match="is no redirect host"):
        egress(host)


@pytest.mark.parametrize(
    ("host", "address", "allowed"),
    [
        ("hub.example", "8.8.8.8", True),
        ("hub.example", "10.0.0.1", True),
        ("hub.example", "127.0.0.1", True),
        ("hub.example", "169.254.169.254", False),
        ("hub.example", "::ffff:169.254.169.254", False),
        ("hub.example", "100.100.100.200", False),
        ("written.example", "10.0.0.1", True),
        ("a.pattern.example", "8.8.8.8", True),
        ("a.pattern.example", "10.0.0.1", False),
        ("a.pattern.example", "127.0.0.1", False),
        ("a.pattern.example", "::1", False),
        ("a.pattern.example", "169.254.169.254", False),
        ("169.254.1.1", "169.254.1.1", True),
        ("169.254.169.254", "169.254.169.254", False),
    ],
)
def test_only_a_host_that_is_written_out_may_have_an_internal_address(host: str, address: str, allowed: bool) -> None:
    rules = egress("written.example", "*.pattern.example", "169.254.1.1")

    assert rules.allows(ip_address(address), host=host) is allowed


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("cdn.pattern.example", True),
        ("8.8.8.8", True),
        ("10.9.9.9", True),
        ("127.0.0.1", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("::1", False),
        ("169.254.169.254", False),
    ],
)
def test_a_literal_address_is_checked_before_it_goes_to_a_proxy(host: str, allowed: bool) -> None:
    rules = egress("10.9.9.9")

    if allowed:
        rules.check_literal(host)
    else:
        with pytest.raises(Unavailable, match="not a public one"):
            rules.check_literal(host)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_location_crashes_the_rules_or_leaves_the_allowed_hosts(text: str) -> None:
    rules = egress("cdn.example", "*.hf.co")
    try:
        target = httpx.URL("https://hub.example/a").join(text)
    except (httpx.InvalidURL, ValueError):
        return
    if may_redirect(rules, str(target)):
        assert target.host in ("hub.example", "cdn.example") or target.host.endswith(".hf.co")
        assert target.scheme == "https"
