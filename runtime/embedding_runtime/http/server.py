"""uvicorn, with what a rolling restart without loss needs from it."""

import asyncio
import contextlib
import errno
import functools
import logging
import select
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from embedding_runtime.http.bounded_protocol import BoundedProtocol, Describe, describe_plainly
from embedding_runtime.http.closing import accept_what_waits, refuse_handshakes
from embedding_runtime.settings import ANY_ADDRESS

logger = logging.getLogger(__name__)

BACKLOG = 2048

# At shutdown: how long a client that is connected may take to send its first request. A busy one takes longer than the
# network does.
FIRST_REQUEST_SECONDS = 3.0

# What a kernel without IPv6 answers: none of its protocol, or none of its addresses.
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class CarefulProtocol(BoundedProtocol):
    """Closes a connection at shutdown only when no request is under way on it.

    uvicorn's own protocol looks at the last response alone: it would close a connection whose next request has been
    received in part, or lies unread in the socket. Here such a request is answered first. While the server shuts down
    the application says `Connection: close` on every response, which ends the connection right after it.

    A connection that has carried no request yet is as good as one on its way: it has FIRST_REQUEST_SECONDS for one.
    """

    _receiving = False

    def on_message_begin(self) -> None:
        self._receiving = True
        super().on_message_begin()

    def on_response_complete(self) -> None:
        self._receiving = False
        super().on_response_complete()

    def shutdown(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.loop.call_later(FIRST_REQUEST_SECONDS, self._end_unused)
        elif not self._receiving and not _has_unread_data(self.transport):
            super().shutdown()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def _end_unused(self) -> None:
        if self.cycle is None and not self._receiving and not _has_unread_data(self.transport):
            super().shutdown()


def _has_unread_data(transport: asyncio.BaseTransport) -> bool:
    """Bytes, or the client's end of stream: uvicorn deals with either before the connection closes."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.is_closing():
        return False
    poll = select.poll()  # select.select would fail for descriptors above 1023
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its owner, and closes its sockets without losing connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            refuse_handshakes(listener)
        for listener in sockets or []:
            await accept_what_waits(listener)
        await super().shutdown(sockets=sockets)


def bind(host: str, *, port: int) -> socket.socket:
    """A listening address; port 0 takes a free one. `::` takes IPv4 too, and is 0.0.0.0 where there is no IPv6.

    Raises OSError.
    """
    if ":" not in host:
        return _bind(socket.AF_INET, host, port=port)
    try:
        return _bind(socket.AF_INET6, host, port=port)
    except OSError as error:
        if host != ANY_ADDRESS or error.errno not in NO_IPV6:
            raise
        return _bind(socket.AF_INET, "0.0.0.0", port=port)


def _bind(family: socket.AddressFamily, host: str, *, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            # Said in both cases: the default is the machine's (net.ipv6.bindv6only).
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != ANY_ADDRESS)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def make_server(
    application: Any, *, keep_alive_seconds: int, shutdown_seconds: float, describe: Describe = describe_plainly
) -> Server:
    """`describe` answers what `application` never sees: what is no request."""
    config = uvicorn.Config(
        application,
        http=functools.partial(CarefulProtocol, describe=describe),  # type: ignore[arg-type]  # called, never a base
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=keep_alive_seconds,
        timeout_graceful_shutdown=whole_seconds(shutdown_seconds),
    )
    return Server(config)


def whole_seconds(shutdown_seconds: float) -> int:
    """What uvicorn makes of it: it counts whole seconds, and none would mean for ever."""
    return max(1, round(shutdown_seconds))
