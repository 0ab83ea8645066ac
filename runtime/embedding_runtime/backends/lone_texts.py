"""How many threads compute a text that comes alone.

A batch is one thread's, for threads that share a product wait for the slowest of them at a hundred barriers a batch.
But a long text that comes alone while all other workers rest leaves their cores idle. Shared by two threads it is done
in little more than half the time where the cores are free, and takes ten times as long where something else wants them.
Which it is changes by the minute, so both ways are measured and the quicker one is taken.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from embedding_runtime.core.jobs import Tokens

SMALLEST_TOKENS = 64  # a shorter text is done before sharing it pays
MOST_THREADS = 4  # each worker keeps as many; with more the waiting grows and the gain does not

# Texts until the other way is tried again: doubled each time that it was not quicker.
FIRST_TRIAL = 8
LAST_TRIAL = 1024

WORTH = 0.9  # the other way must take at most this share of the time
SUDDEN = 2.0  # a way that takes this many times what it took is doubted at once
SMOOTHING = 0.3


class LoneTexts:
    """Thread-safe. `set_threads` sets how many threads the calling thread's products are shared by."""

    def __init__(
        self, *, threads: int, set_threads: Callable[[int], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._shared = min(threads, MOST_THREADS)
        self._set_threads = set_threads
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0  # batches
        self._begun = 0
        self._usual = 1  # threads of the quicker way
        self._seconds: dict[int, float] = {}  # by threads: seconds a token, smoothed
        self._until_trial = 1
        self._pause = FIRST_TRIAL

    @contextlib.contextmanager
    def computing(self, batch: Sequence[Tokens]) -> Iterator[None]:
        """Inside, the batch has as many threads as it should; behind it the thread has one again."""
        with self._lock:
            self._running += 1
            self._begun += 1
            begun = self._begun
            threads = self._choose(batch)
        started = self._clock()
        try:
            if threads is not None and threads > 1:
                self._set_threads(threads)
            yield
            if threads is not None:
                self._measure((self._clock() - started) / len(batch[0].ids), threads=threads, begun=begun)
        finally:
            if threads is not None and threads > 1:
                self._set_threads(1)
            with self._lock:
                self._running -= 1

    def _choose(self, batch: Sequence[Tokens]) -> int | None:
        """None for a batch that is no lone text."""
        if self._shared == 1 or self._running > 1 or len(batch) != 1 or len(batch[0].ids) < SMALLEST_TOKENS:
            return None
        if self._usual not in self._seconds or self._until_trial > 0:
            self._until_trial -= self._usual in self._seconds
            return self._usual
        return self._other

    @property
    def _other(self) -> int:
        return self._shared if self._usual == 1 else 1

    def _measure(self, seconds: float, *, threads: int, begun: int) -> None:
        with self._lock:
            if self._begun != begun:
                return  # another batch began meanwhile: the text was not alone
            known = self._seconds.get(threads, seconds)
            if threads != self._usual:
                self._seconds[threads] = seconds
                self._judge_trial(seconds)
                return
            self._seconds[threads] = known + SMOOTHING * (seconds - known)
            if seconds > SUDDEN * known:
                self._until_trial = 0

    def _judge_trial(self, seconds: float) -> None:
        if seconds < WORTH * self._seconds[self._usual]:
            self._usual = self._other
            self._pause = FIRST_TRIAL
        else:
            self._pause = min(2 * self._pause, LAST_TRIAL)
        self._until_trial = self._pause
