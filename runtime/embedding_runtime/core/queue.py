"""The queue between requests and workers: batches by tokens, without timers.

A free worker takes what waits. The oldest waiting text leads the batch, so no length starves; texts of similar length
join it, so that little is padded; the budget counts padded tokens. When several workers are free they share what waits
instead of one taking all of it.
"""

import math
import threading
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from embedding_runtime.core.jobs import Item

# A text may be this much shorter than the longest of its batch: padding a few tokens costs less than another batch.
PADDING_FLOOR_TOKENS = 16
PADDING_SHARE = 0.25

# A share smaller than this is not worth a batch of its own: the fixed cost of one forward pass would dominate.
SMALLEST_SHARE_TOKENS = 256


class TokenQueue:
    """Thread-safe. `put` from the event loop, `take` from worker threads."""

    def __init__(self, *, max_batch_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = max_batch_tokens
        self._clock = clock
        self._changed = threading.Condition()
        self._order: deque[tuple[Item, float]] = deque()  # every waiting item, oldest first, with its arrival
        self._by_length: dict[int, deque[Item]] = {}
        self._lengths: list[int] = []  # sorted keys of _by_length
        self._tokens = 0
        self._idle = 0
        self._closed = False

    def put(self, items: Iterable[Item]) -> None:
        now = self._clock()
        with self._changed:
            for item in items:
                item.taken = False
                self._order.append((item, now))
                self._index(item).append(item)
                self._tokens += item.length
            self._changed.notify_all()

    def put_back(self, items: Iterable[Item]) -> None:
        """Items of a failed batch: they have waited longest, so they go first."""
        now = self._clock()
        with self._changed:
            for item in reversed(list(items)):
                item.taken = False
                self._order.appendleft((item, now))
                self._index(item).appendleft(item)
                self._tokens += item.length
            self._changed.notify_all()

    def take(self) -> list[Item]:
        """The next batch; blocks while nothing waits. Empty once the queue is closed."""
        with self._changed:
            while True:
                batch = self._gather()
                if batch or self._closed:
                    return batch
                self._idle += 1
                try:
                    self._changed.wait()
                finally:
                    self._idle -= 1

    def close(self) -> None:
        """No more waiting: `take` empties the queue, then returns nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def tokens(self) -> int:
        """Tokens that wait now."""
        return self._tokens

    def oldest_age(self) -> float:
        """Seconds that the oldest waiting text has waited."""
        with self._changed:
            self._drop_dead()
            return self._clock() - self._order[0][1] if self._order else 0.0

    def _gather(self) -> list[Item]:
        self._drop_dead()
        if not self._order:
            return []
        share = math.ceil(self._tokens / (self._idle + 1))
        budget = min(self._budget, max(share, SMALLEST_SHARE_TOKENS))
        lead = self._order[0][0]
        batch = [lead]
        self._remove(lead)
        shortest = longest = lead.length
        for length in self._nearest(lead.length):
            low, high = min(shortest, length), max(longest, length)
            if high - low > max(PADDING_FLOOR_TOKENS, PADDING_SHARE * high):
                continue
            for item in self._live(length):
                if high * (len(batch) + 1) > budget:
                    break
                batch.append(item)
                self._remove(item)
                shortest, longest = low, high
        return batch

    def _nearest(self, length: int) -> Iterator[int]:
        """Waiting lengths, nearest first; the nearest of both sides in turn."""
        lengths = list(self._lengths)
        right = bisect_left(lengths, length)
        left = right - 1
        while left >= 0 or right < len(lengths):
            if left < 0 or (right < len(lengths) and lengths[right] - length <= length - lengths[left]):
                yield lengths[right]
                right += 1
            else:
                yield lengths[left]
                left -= 1

    def _live(self, length: int) -> Iterator[Item]:
        for item in list(self._by_length.get(length, ())):
            if item.job.abandoned:
                self._remove(item)
            else:
                yield item

    def _index(self, item: Item) -> deque[Item]:
        waiting = self._by_length.get(item.length)
        if waiting is None:
            waiting = self._by_length[item.length] = deque()
            insort(self._lengths, item.length)
        return waiting

    def _remove(self, item: Item) -> None:
        """Out of its length's queue at once; out of the order of arrival when it comes to the front."""
        item.taken = True
        self._tokens -= item.length
        waiting = self._by_length[item.length]
        waiting.remove(item)
        if not waiting:
            del self._by_length[item.length]
            del self._lengths[bisect_left(self._lengths, item.length)]

    def _drop_dead(self) -> None:
        while self._order:
            item = self._order[0][0]
            if item.job.abandoned and not item.taken:
                self._remove(item)
            if not item.taken:
                return
            self._order.popleft()
