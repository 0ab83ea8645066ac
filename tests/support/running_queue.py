"""A work queue at work, on a clock of the test's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from manual_clock import ManualClock, settle

from embedding_operator.reconcile.outcome import Outcome
from embedding_operator.workqueue import WorkQueue


@asynccontextmanager
async def running(
    reconcile: Callable[[str], Awaitable[Outcome]], *, clock: ManualClock, workers: int = 2, limit: float | None = None
) -> AsyncIterator[WorkQueue[str]]:
    """`limit`: seconds after which a reconcile is given up. Ends once the running reconciles have ended."""
    queue = WorkQueue(reconcile, workers=workers, clock=clock, jitter=lambda: 0.0, timeout=limit)
    task = asyncio.create_task(queue.run())
    await settle()
    try:
        yield queue
    finally:
        queue.stop()
        await task
