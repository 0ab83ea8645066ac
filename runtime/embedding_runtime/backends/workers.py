"""Worker threads: each takes whole batches from the queue and computes them alone.

A worker that raises is replaced, and its batch is tried once more; a second failure fails the requests in it. A batch
that takes longer than `hang_seconds` counts as hung: nothing can stop a thread, so the process asks to be restarted.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from embedding_runtime.backends.backend import Backend
from embedding_runtime.core.jobs import Item, Tokens, Vectors
from embedding_runtime.core.queue import TokenQueue

logger = logging.getLogger(__name__)

ATTEMPTS = 2


class Outcome(Protocol):
    """Where finished batches go. Called from worker threads."""

    def computed(self, items: Sequence[Item], *, vectors: Vectors, seconds: float) -> None: ...

    def failed(self, items: Sequence[Item], *, error: Exception) -> None: ...

    def replaced(self) -> None: ...


class WorkerPool:
    """`count` threads over one backend."""

    def __init__(
        self,
        *,
        backend: Backend,
        queue: TokenQueue,
        count: int,
        hang_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._queue = queue
        self.count = count
        self._hang_seconds = hang_seconds
        self._clock = clock
        self._outcome: Outcome | None = None
        self._busy_since: dict[int, float] = {}
        self._threads: list[threading.Thread] = []

    def start(self, *, outcome: Outcome, warm_up: Sequence[Tokens]) -> None:
        """Start the workers; returns when each has computed `warm_up`, and raises what the first failure raised."""
        self._outcome = outcome
        ready = threading.Barrier(self.count + 1)
        failures: list[Exception] = []
        for number in range(self.count):
            self._spawn(number, first=lambda: self._warm_up(warm_up, ready=ready, failures=failures))
        ready.wait()
        if failures:
            raise failures[0]

    def stop(self) -> None:
        """Close the queue; workers end once it is empty."""
        self._queue.close()

    def hung(self) -> int:
        """How many workers have been at one batch for too long."""
        now = self._clock()
        return sum(now - since > self._hang_seconds for since in list(self._busy_since.values()))

    def _spawn(self, number: int, *, first: Callable[[], bool] | None = None) -> None:
        thread = threading.Thread(target=self._run, args=(number, first), name=f"worker-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _warm_up(self, batch: Sequence[Tokens], *, ready: threading.Barrier, failures: list[Exception]) -> bool:
        try:
            self._backend.prepare_thread()
            self._backend.embed(batch)
        except Exception as error:
            failures.append(error)
        ready.wait()
        return not failures

    def _run(self, number: int, first: Callable[[], bool] | None) -> None:
        if first is None:
            self._backend.prepare_thread()
        elif not first():
            return
        assert self._outcome is not None
        while items := self._queue.take():
            started = self._clock()
            self._busy_since[number] = started
            try:
                vectors = self._backend.embed([item.tokens for item in items])
            except Exception as error:
                failure = error
            else:
                self._outcome.computed(items, vectors=vectors, seconds=self._clock() - started)
                continue
            finally:
                del self._busy_since[number]
            self._replace(number, items=items, error=failure)
            return

    def _replace(self, number: int, *, items: list[Item], error: Exception) -> None:
        """The thread ends here: what it left in thread-local state of the libraries cannot be trusted."""
        assert self._outcome is not None
        logger.error("worker %d failed on a batch of %d texts and is replaced", number, len(items), exc_info=error)
        for item in items:
            item.attempts += 1
        self._queue.put_back(item for item in items if item.attempts < ATTEMPTS)
        spent = [item for item in items if item.attempts >= ATTEMPTS]
        if spent:
            self._outcome.failed(spent, error=error)
        self._outcome.replaced()
        self._threads.remove(threading.current_thread())
        self._spawn(number)
