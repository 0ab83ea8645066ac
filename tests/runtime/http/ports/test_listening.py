"""Where the ports are reached: pods have IPv4 addresses, IPv6 addresses, or both."""

import errno
import socket

import pytest

from embedding_runtime.http import server
from embedding_runtime.http.server import bind
from embedding_runtime.settings import ANY_ADDRESS, ServeSettings


def reaches(address: str, *, listener: socket.socket) -> bool:
    listener.listen()
    try:
        with socket.create_connection((address, listener.getsockname()[1]), timeout=5):
            return True
    except OSError:
        return False


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


def test_the_default_address_is_reached_over_every_protocol_that_the_machine_has() -> None:
    with bind(ServeSettings.host, port=0) as listener:
        assert reaches("127.0.0.1", listener=listener)
        assert reaches("::1", listener=listener) == has_ipv6()


def test_an_ipv4_address_stays_one() -> None:
    with bind("127.0.0.1", port=0) as listener:
        assert listener.family is socket.AF_INET
        assert reaches("127.0.0.1", listener=listener)


@pytest.mark.parametrize("code", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_without_ipv6_the_default_address_is_that_of_ipv4(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with_ipv6 = server._bind

    def without_ipv6(family: socket.AddressFamily, host: str, *, port: int) -> socket.socket:
        if family is socket.AF_INET6:
            raise OSError(code, "no IPv6 here")
        return with_ipv6(family, host, port=port)

    monkeypatch.setattr(server, "_bind", without_ipv6)
    with bind(ANY_ADDRESS, port=0) as listener:
        assert reaches("127.0.0.1", listener=listener)
    with pytest.raises(OSError, match="no IPv6 here"):
        bind("::1", port=0)


def test_a_port_that_is_taken_is_an_error_and_not_shared_between_the_protocols() -> None:
    with bind("0.0.0.0", port=0) as taken:
        taken.listen()
        with pytest.raises(OSError, match="in use") as refused:
            bind(ANY_ADDRESS, port=taken.getsockname()[1])
    assert refused.value.errno == errno.EADDRINUSE
