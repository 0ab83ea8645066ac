"""Time as everything that waits sees it: a clock that a test can replace, and how long to wait between retries."""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds; only differences mean something."""

    async def sleep(self, seconds: float) -> None: ...


class MonotonicClock:
    """The event loop's clock."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def backoff(attempt: int, *, first: float, limit: float, jitter: Callable[[], float] = random.random) -> float:
    """Seconds before retry number `attempt` (from 1): doubling from `first` to `limit`, and up to 20 % less by chance.

    The jitter takes away and never adds, so that `limit` is a promise.
    """
    doubled = first * 2.0 ** min(attempt - 1, 30)
    return min(doubled, limit) * (1.0 - 0.2 * jitter())
