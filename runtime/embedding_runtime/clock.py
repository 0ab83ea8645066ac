"""Time as what waits in the process sees it: a clock that a test can replace."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

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


class AwakeClock:
    """Seconds in which this process ran, not those in which it stood still (a frozen node, no CPU): then it heard
    nobody, and that is no silence of theirs. Between two beats at most MOST_SECONDS count.
    """

    BEAT_SECONDS: Final = 0.5
    MOST_SECONDS: Final = 2 * BEAT_SECONDS

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._last = self._clock.monotonic()
        self._awake = 0.0

    def __call__(self) -> float:
        return self._awake + min(self._clock.monotonic() - self._last, self.MOST_SECONDS)

    def beat(self) -> None:
        self._awake, self._last = self(), self._clock.monotonic()

    async def run(self) -> None:
        """Beat until cancelled, on the event loop whose time counts."""
        while True:
            self.beat()
            await self._clock.sleep(self.BEAT_SECONDS)


def name_now() -> str:
    """The time of day in RFC 3339, UTC, for people."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
