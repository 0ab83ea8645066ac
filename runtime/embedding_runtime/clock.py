"""Time as what waits in the process sees it: a clock that a test can replace."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Monotonic = Callable[[], float]  # seconds; only differences mean something


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds; only differences mean something."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own."""

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def name_now() -> str:
    """The time of day in RFC 3339, UTC, for people."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
