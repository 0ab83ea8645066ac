"""Keys that another thread hands to an event loop: many at once, since each wake-up of a loop is a system call."""

import asyncio
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Inbox(Generic[K]):
    """`add` from any thread; `deliver` is called in the loop, once for each key that has come since the last time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, deliver: Callable[[K], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._lock = threading.Lock()
        self._keys: dict[K, None] = {}

    def add(self, key: K) -> None:
        """Raises RuntimeError when the loop is closed."""
        with self._lock:
            is_first = not self._keys
            self._keys[key] = None
        if is_first:
            self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        with self._lock:
            keys, self._keys = self._keys, {}
        for key in keys:
            self._deliver(key)
