"""A clock that only moves when the test says so."""

import asyncio
import heapq
import itertools


class ManualClock:
    """`advance` moves time from sleeper to sleeper, letting everything that wakes run before the next one does."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        until = self._now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, at)
                future.set_result(None)
                await settle()
        self._now = until
        await settle()


async def settle() -> None:
    """Let every task that can run do so until all of them wait for something outside the event loop."""
    for _ in range(50):
        await asyncio.sleep(0)
