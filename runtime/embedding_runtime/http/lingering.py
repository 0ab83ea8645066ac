"""Closing a connection whose client still sends, so that it can read the answer first.

A socket that is closed while bytes come, or lie in it unread, resets the connection. Most clients read nothing before
they have sent all, so the reset would cost them the answer that says why nobody reads on. Here only the server's own
side ends at first; what still comes is dropped until the client ends too (RFC 9112, 9.6), within bounds.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

# As long as most bodies take. Whoever sends longer is reset.
SECONDS = 10.0
# As many as a body may have by default: it costs no more to drop one than to read one.
MOST_BYTES = 32 * 1024 * 1024


class Loop(Protocol):
    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle: ...


class LingeringTransport(asyncio.Transport):
    """A transport that closes at once where the client has said all, and lingers where `is_client_sending`.

    Who reads it gives what comes to `drop` while it lingers. Nothing is written any more then.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        loop: Loop,
        is_client_sending: Callable[[], bool],
        seconds: float = SECONDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._is_client_sending = is_client_sending
        self._seconds = seconds
        self._left = most_bytes
        self._timer: asyncio.TimerHandle | None = None
        self.lingers = False

    def close(self) -> None:
        if self.is_closing():
            return
        if not self._is_client_sending():
            self._transport.close()
            return
        self.lingers = True
        try:
            self._transport.write_eof()  # behind what is written and not sent yet
            self._transport.resume_reading()
        except (OSError, RuntimeError):  # reset by the client meanwhile, as asyncio and uvloop say it
            self.abort()
            return
        self._timer = self._loop.call_later(self._seconds, self.abort)

    def drop(self, size: int) -> None:
        """So many bytes came that nobody reads."""
        self._left -= size
        if self._left < 0:
            self.abort()

    def abort(self) -> None:
        self.stop()
        self._transport.abort()

    def stop(self) -> None:
        """The connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.lingers:
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)
