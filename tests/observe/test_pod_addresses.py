"""Which addresses the operator's token is ever sent to: those that a pod of ours can have."""

from typing import Any

import pytest

from embedding_operator.observe.observe import read_address


def address_of(ip: str | None, **spec: Any) -> str:
    return read_address({"spec": spec, "status": {} if ip is None else {"podIP": ip}})


@pytest.mark.parametrize("ip", ["10.0.0.7", "100.64.3.4", "192.168.1.9", "203.0.113.5", "fd00::7", "2001:db8::1"])
def test_a_pods_address_is_asked(ip: str) -> None:
    assert address_of(ip) == ip


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "fe80::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "metadata.google.internal",
        "10.0.0.1:80/x",
        "fe80::1%eth0",
        "",
        None,
    ],
)
def test_what_is_no_pods_address_is_never_asked(ip: str | None) -> None:
    assert address_of(ip) == ""


def test_a_pod_on_its_nodes_network_is_none_of_ours() -> None:
    assert address_of("10.0.0.7", hostNetwork=True) == ""
    assert address_of("10.0.0.7", hostNetwork=False) == "10.0.0.7"
