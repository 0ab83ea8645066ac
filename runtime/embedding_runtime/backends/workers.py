"""Worker threads: each takes whole batches from the queue and computes them alone.

A worker that raises is replaced, and its batch is tried again in halves: what fails again is halved again, so that one
text that cannot be computed takes no other with it. A text that failed alone is tried once more; then its request
fails. The replacement first computes a text that has worked before: where that fails too, the device is to blame and
not the batch, and the worker is given up. A batch that takes longer than `hang_seconds` counts as hung; one long text
that exceeds a batch's budget n times may take n times as long. Nothing can stop a thread and nothing here can mend a
device, so the process then asks to be restarted.

A batch that does not fit into memory is no failure of its worker: it is computed in halves, down to single texts, and
batches stay that small for a while. A device that says that it is broken is believed at once: nothing is tried again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from embedding_runtime.backends.backend import Backend
from embedding_runtime.core.failures import DeviceBroken, OutOfMemory
from embedding_runtime.core.jobs import Item, Output, Tokens
from embedding_runtime.core.queue import TokenQueue

logger = logging.getLogger(__name__)

ATTEMPTS_ALONE = 2  # of one text, before its request fails


class Outcome(Protocol):
    """Where finished batches go. Called from worker threads."""

    def computed(self, items: Sequence[Item], *, outputs: Sequence[Output], seconds: float) -> None: ...

    def failed(self, items: Sequence[Item], *, error: Exception) -> None: ...

    def split(self) -> None: ...

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
        max_batch_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._queue = queue
        self.count = count
        self._hang_seconds = hang_seconds
        self._max_batch_tokens = max_batch_tokens
        self._clock = clock
        self._outcome: Outcome | None = None
        self._known_good: Sequence[Tokens] = ()
        self._busy_until: dict[int, float] = {}  # when the worker's batch counts as hung
        self._lost = 0
        self._broken: DeviceBroken | None = None
        self._lock = threading.Lock()

    def start(self, *, outcome: Outcome, warm_up: Sequence[Tokens]) -> None:
        """Start the workers; returns when each has computed `warm_up`, and raises what the first failure raised.

        Where `warm_up` does not fit into memory as one batch, it is made smaller; OutOfMemory: not one text fits.
        """
        self._outcome = outcome
        self._known_good = warm_up[:1]
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

    def explain_trouble(self) -> str:
        """Why the process should be restarted, in words for a person; empty while all is well."""
        if self._broken is not None:
            return f"the device is broken: {self._broken}"
        now = self._clock()
        hung = sum(now > until for until in list(self._busy_until.values()))
        if hung:
            return f"{hung} of {self.count} workers hang"
        return f"{self._lost} of {self.count} workers are lost: the device does not compute" if self._lost else ""

    def _spawn(self, number: int, *, first: Callable[[], bool]) -> None:
        threading.Thread(target=self._run, args=(number, first), name=f"worker-{number}", daemon=True).start()

    def _warm_up(self, batch: Sequence[Tokens], *, ready: threading.Barrier, failures: list[Exception]) -> bool:
        try:
            self._backend.prepare_thread()
            self._compute_what_fits(batch)
        except Exception as error:
            failures.append(error)
        ready.wait()
        return not failures

    def _compute_what_fits(self, batch: Sequence[Tokens]) -> None:
        while True:
            try:
                self._backend.compute(batch)
            except OutOfMemory:
                if len(batch) == 1:
                    raise
                self._shrink_batches([len(tokens.ids) for tokens in batch])
                batch = batch[: len(batch) // 2]
            else:
                return

    def _run(self, number: int, first: Callable[[], bool]) -> None:
        if not first():
            return
        assert self._outcome is not None
        while items := self._queue.take():
            parts = [items]
            try:
                while parts and self._broken is None:
                    parts[-1:] = self._compute(number, items=parts[-1])
            except DeviceBroken as error:
                self._report_broken(error)
            except Exception as error:
                self._replace(number, items=[item for part in parts for item in part], error=error)
                return
            if self._broken is not None:
                self._outcome.failed([item for part in parts for item in part], error=self._broken)

    def _compute(self, number: int, *, items: list[Item]) -> list[list[Item]]:
        """Compute the items and hand them over; what is left to do: nothing, or two halves that may fit into memory."""
        assert self._outcome is not None
        started = self._clock()
        self._busy_until[number] = started + self._allow(items)
        try:
            outputs = self._backend.compute([item.tokens for item in items])
        except OutOfMemory as error:
            failure = error
        else:
            self._outcome.computed(items, outputs=outputs, seconds=self._clock() - started)
            return []
        finally:
            del self._busy_until[number]
        if len(items) == 1:
            logger.error("a text of %d tokens does not fit into memory: %s", items[0].length, failure)
            self._outcome.failed(items, error=failure)
            return []
        self._shrink_batches([item.length for item in items])
        self._outcome.split()
        middle = len(items) // 2
        # The last part is computed next, and nobody may wait any more for what is left.
        halves = (items[middle:], items[:middle])
        wanted = ([item for item in half if not item.job.abandoned] for half in halves)
        return [half for half in wanted if half]

    def _shrink_batches(self, lengths: Sequence[int]) -> None:
        tokens = max(lengths) * len(lengths)
        logger.warning("a batch of %d texts, %d tokens, does not fit into memory and is halved", len(lengths), tokens)
        self._queue.shrink_batches(tokens // 2)

    def _report_broken(self, error: DeviceBroken) -> None:
        with self._lock:
            known, self._broken = self._broken, error
        if known is None:
            logger.error("the device is broken, nothing is computed until the process is restarted: %s", error)

    def _allow(self, items: Sequence[Item]) -> float:
        """Seconds that the batch may take."""
        tokens = len(items) * max(item.length for item in items)
        return self._hang_seconds * max(1.0, tokens / self._max_batch_tokens)

    def _replace(self, number: int, *, items: list[Item], error: Exception) -> None:
        """The thread ends here: what it left in thread-local state of the libraries cannot be trusted."""
        assert self._outcome is not None
        logger.error("worker %d failed on a batch of %d texts and is replaced", number, len(items), exc_info=error)
        self._try_again(items, error=error)
        self._outcome.replaced()
        self._spawn(number, first=lambda: self._check(number))

    def _try_again(self, items: list[Item], *, error: Exception) -> None:
        for item in items:
            item.failures += 1
        if len(items) > 1:
            middle = len(items) // 2
            self._queue.put_back([items[:middle], items[middle:]])
            return
        items[0].failures_alone += 1
        if items[0].failures_alone < ATTEMPTS_ALONE:
            self._queue.put_back([items])
        else:
            assert self._outcome is not None
            self._outcome.failed(items, error=error)

    def _check(self, number: int) -> bool:
        """Whether a replacement can compute at all. The last worker that cannot fails everything that still comes."""
        self._busy_until[number] = self._clock() + self._hang_seconds
        try:
            self._backend.prepare_thread()
            self._backend.compute(self._known_good)
            return True
        except DeviceBroken as error:
            self._report_broken(error)
            return True  # it fails what comes, at once
        except Exception as error:
            failure = error
        finally:
            del self._busy_until[number]
        logger.error("worker %d cannot compute what it computed before and is given up", number, exc_info=failure)
        with self._lock:
            self._lost += 1
            last = self._lost == self.count
        if last:
            self._fail_all(failure)
        return False

    def _fail_all(self, error: Exception) -> None:
        """Until the process is restarted: an error at once, which clients may retry elsewhere, not a long wait."""
        assert self._outcome is not None
        while items := self._queue.take():
            self._outcome.failed(items, error=error)
