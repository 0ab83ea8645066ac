"""The work queue: keys in, reconciles out, as client-go's rate-limited queue has it.

A key is in the queue at most once, and never worked on by two workers at a time: one that is added while it is worked
on runs once more afterwards. Nothing here knows what a reconcile does; its outcome only says when to come back.
"""

import asyncio
import heapq
import itertools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.kube.gateway import Conflict, GatewayError, TooManyRequests
from embedding_operator.reconcile.outcome import Done, Outcome, Stalled, Wait

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_SECONDS: Final = 1.0
# Five minutes: long enough that a broken API is not hammered, short enough that nobody has to restart the operator.
MAX_BACKOFF_SECONDS: Final = 300.0


@dataclass(frozen=True)
class QueueState:
    """`oldest_seconds` is how long the first waiting key has waited for a worker; 0 when none waits."""

    waiting: int
    running: int
    delayed: int
    oldest_seconds: float


class WorkQueue(Generic[K]):
    """Deduplicating, serial per key, N workers. Use from one event loop; `run` works until it is cancelled."""

    def __init__(
        self,
        reconcile: Callable[[K], Awaitable[Outcome]],
        *,
        workers: int,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
        timeout: float | None = None,
        on_outcome: Callable[[str, float], None] | None = None,
    ) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._clock = clock or MonotonicClock()
        self._jitter = jitter
        self._timeout = timeout
        self._on_outcome = on_outcome
        self._ready: deque[K] = deque()
        self._added_at: dict[K, float] = {}
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._delayed: list[tuple[float, int, K]] = []  # a heap: due at, order, key
        self._due_at: dict[K, float] = {}
        self._order = itertools.count()
        self._turn = asyncio.Lock()
        self._wake_worker = asyncio.Event()
        self._wake_timer = asyncio.Event()
        self._stopping = False

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free. Never raises, never waits."""
        self._due_at.pop(key, None)
        if key in self._running:
            self._again.add(key)
        elif key not in self._added_at:
            self._added_at[key] = self._clock.monotonic()
            self._ready.append(key)
            self._wake_worker.set()

    def add_after(self, key: K, *, seconds: float) -> None:
        """Work on the key in so many seconds, or earlier when something else adds it or asked for an earlier time."""
        if key in self._added_at or key in self._again:
            return
        at = self._clock.monotonic() + max(seconds, 0.0)
        if at < self._due_at.get(key, float("inf")):
            self._due_at[key] = at
            heapq.heappush(self._delayed, (at, next(self._order), key))
            self._wake_timer.set()

    @property
    def state(self) -> QueueState:
        now = self._clock.monotonic()
        oldest = now - min(self._added_at.values()) if self._added_at else 0.0
        return QueueState(
            waiting=len(self._ready), running=len(self._running), delayed=len(self._due_at), oldest_seconds=oldest
        )

    async def run(self) -> None:
        """Start the workers; returns after `stop`, once every running reconcile has ended."""
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._release_due_keys(), name="workqueue timer")
            workers = [
                group.create_task(self._work(), name=f"workqueue worker {number}") for number in range(self._workers)
            ]
            await asyncio.gather(*workers)
            timer.cancel()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True
        self._wake_worker.set()

    async def _work(self) -> None:
        while not self._stopping:
            if not self._ready:
                self._wake_worker.clear()
                await self._wake_worker.wait()
                continue
            key = self._ready.popleft()
            self._added_at.pop(key)
            self._running.add(key)
            try:
                await self._await_turn()
                await self._work_on(key)
            finally:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _await_turn(self) -> None:
        """One reconcile begins in a round of the event loop, whatever the number of workers.

        One that finds all it needs in memory waits for nothing: where all workers had such ones, the Lease, audits and
        every answer would come late by as many reconciles, round after round.
        """
        async with self._turn:
            await asyncio.sleep(0)

    async def _work_on(self, key: K) -> None:
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                outcome = await self._reconcile(key)
        except Exception as error:
            self._retry(key, error)
            result = type(error).__name__
        else:
            self._failures.pop(key, None)
            result = type(outcome).__name__
            self._follow(key, outcome)
        if self._on_outcome is not None:
            self._on_outcome(result, self._clock.monotonic() - started)

    def _follow(self, key: K, outcome: Outcome) -> None:
        if isinstance(outcome, Wait):
            logger.debug("%s: again in %.1f s: %s", key, outcome.after_seconds, outcome.reason)
            self.add_after(key, seconds=outcome.after_seconds)
        elif isinstance(outcome, Stalled):
            logger.debug("%s: stalled: %s", key, outcome.reason)
        elif not isinstance(outcome, Done):
            logger.error("%s: a reconcile must return Done, Wait or Stalled, not %s", key, type(outcome).__name__)

    def _retry(self, key: K, error: Exception) -> None:
        """Come back after a failure; what the API server is known to answer needs no stack in the log."""
        attempt = self._failures.get(key, 0) + 1
        self._failures[key] = attempt
        seconds = backoff(attempt, first=FIRST_BACKOFF_SECONDS, limit=MAX_BACKOFF_SECONDS, jitter=self._jitter)
        if isinstance(error, Conflict) and attempt == 1:
            logger.debug("%s: %s; again at once", key, error.message)
            seconds = 0.0
        elif isinstance(error, GatewayError):
            if isinstance(error, TooManyRequests) and error.retry_after is not None:
                seconds = max(seconds, error.retry_after)
            logger.warning("%s: %s; again in %.1f s", key, error.message, seconds)
        elif isinstance(error, TimeoutError):
            logger.warning("%s: took longer than %s s and was given up; again in %.1f s", key, self._timeout, seconds)
        else:
            logger.error("%s: unexpected error; again in %.1f s", key, seconds, exc_info=error)
        self.add_after(key, seconds=seconds)

    async def _release_due_keys(self) -> None:
        while True:
            self._wake_timer.clear()
            now = self._clock.monotonic()
            while self._delayed and self._delayed[0][0] <= now:
                at, _, key = heapq.heappop(self._delayed)
                # An entry whose time is no longer the key's own was overtaken by an earlier one, or by `add`.
                if self._due_at.get(key) == at:
                    self.add(key)
            if self._delayed:
                await self._sleep_until(self._delayed[0][0])
            else:
                await self._wake_timer.wait()

    async def _sleep_until(self, at: float) -> None:
        """Until `at`, or until a key with an earlier time may have come."""
        sleeper = asyncio.ensure_future(self._clock.sleep(at - self._clock.monotonic()))
        waker = asyncio.ensure_future(self._wake_timer.wait())
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeper, waker):
                task.cancel()
