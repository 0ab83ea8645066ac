"""Ports for servers that a test starts."""

import socket

_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that is nobody else's, neither of another call nor of another program, until this process ends.

    It stays bound here, without listening: a server that sets SO_REUSEADDR binds it all the same, and a connection is
    refused until then.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])
