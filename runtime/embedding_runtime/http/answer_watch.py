"""Clients that ask and do not read: what they do not take of an answer stays in memory."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

# How much of an answer a client takes at least in how long, where more than that is left. Any real one is faster.
LEAST_BYTES = 1024 * 1024
SECONDS = 60.0


class Transport(Protocol):
    def get_write_buffer_size(self) -> int: ...

    def abort(self) -> None: ...


class Loop(Protocol):
    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle: ...


class AnswerWatch:
    """Ends a connection whose client does not take its answer. To be started when the transport's buffer is full, and
    stopped when it is not any more.
    """

    def __init__(self, transport: Transport, *, loop: Loop, seconds: float) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._left = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.stop()
        self._left = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._seconds, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._left - self._transport.get_write_buffer_size() >= min(LEAST_BYTES, self._left):
            self.start()
            return
        self._timer = None
        logger.warning("a client does not take its answer, and its connection is ended: %d bytes are left", self._left)
        self._transport.abort()
