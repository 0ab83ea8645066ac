"""The queue between requests and workers: batches by tokens, without timers.

A free worker takes what waits. The oldest waiting text leads the batch, so no length starves; texts of similar length
join it, so that little is padded; the budget counts padded tokens. When several workers are free they share what waits
instead of one taking all of it. A text whose batch failed is tried again alone: it may be what made the batch fail.
"""

import math
import threading
import time
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from embedding_runtime.core.jobs import Item

# A text may be this much shorter than the longest of its batch: padding a few tokens costs less than another batch.
PADDING_FLOOR_TOKENS = 16
PADDING_SHARE = 0.25

# A share smaller than this is not worth a batch of its own: the fixed cost of one forward pass would dominate.
SMALLEST_SHARE_TOKENS = 256


class TokenQueue:
    """Thread-safe. `put` and `discard` from the event loop, `take` and `put_back` from worker threads."""

    def __init__(self, *, max_batch_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = max_batch_tokens
        self._clock = clock
        self._changed = threading.Condition()
        # Ordered dicts, not plain ones: taking the first again and again would walk over all that were taken before.
        self._order: OrderedDict[Item, float] = OrderedDict()  # every waiting item, oldest first, with its arrival
        self._by_length: dict[int, OrderedDict[Item, None]] = {}  # those that may share a batch, oldest first
        self._lengths: list[int] = []  # sorted keys of _by_length
        self._tokens = 0
        self._idle = 0
        self._closed = False

    def put(self, items: Iterable[Item], *, ahead: bool = False) -> None:
        """`ahead`: before everything that waits already."""
        with self._changed:
            self._insert(items, ahead=ahead)

    def put_back(self, items: Iterable[Item]) -> None:
        """Items of a failed batch: they have waited longest, so they go first, each alone."""
        with self._changed:
            self._insert(items, ahead=True)

    def discard(self, items: Iterable[Item]) -> None:
        """Forget those of the items that still wait."""
        with self._changed:
            for item in items:
                if item in self._order:
                    self._remove(item)

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
            lead = self._find_lead()
            return self._clock() - self._order[lead] if lead else 0.0

    def _gather(self) -> list[Item]:
        lead = self._find_lead()
        if lead is None:
            return []
        share = math.ceil(self._tokens / (self._idle + 1))
        budget = min(self._budget, max(share, SMALLEST_SHARE_TOKENS))
        batch = [lead]
        self._remove(lead)
        if lead.attempts:
            return batch
        shortest = longest = lead.length
        for length in self._nearest(lead.length):
            low, high = min(shortest, length), max(longest, length)
            if high - low > max(PADDING_FLOOR_TOKENS, PADDING_SHARE * high):
                continue
            joining = self._first(length, count=budget // high - len(batch))
            for item in joining:
                self._remove(item)
            if joining:
                batch += joining
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

    def _first(self, length: int, *, count: int) -> list[Item]:
        """At most `count` waiting items of a length that somebody still wants."""
        found: list[Item] = []
        for item in self._by_length[length]:
            if len(found) >= count:
                break
            if not item.job.abandoned:
                found.append(item)
        return found

    def _find_lead(self) -> Item | None:
        """The oldest item that somebody still wants; those before it are forgotten."""
        while self._order:
            item = next(iter(self._order))
            if not item.job.abandoned:
                return item
            self._remove(item)
        return None

    def _insert(self, items: Iterable[Item], *, ahead: bool) -> None:
        now = self._clock()
        for item in reversed(list(items)) if ahead else items:
            self._order[item] = now
            self._tokens += item.length
            if ahead:
                self._order.move_to_end(item, last=False)
            if item.attempts:
                continue
            waiting = self._index(item.length)
            waiting[item] = None
            if ahead:
                waiting.move_to_end(item, last=False)
        self._changed.notify_all()

    def _index(self, length: int) -> OrderedDict[Item, None]:
        waiting = self._by_length.get(length)
        if waiting is None:
            waiting = self._by_length[length] = OrderedDict()
            insort(self._lengths, length)
        return waiting

    def _remove(self, item: Item) -> None:
        del self._order[item]
        self._tokens -= item.length
        if item.attempts:
            return
        waiting = self._by_length[item.length]
        del waiting[item]
        if not waiting:
            del self._by_length[item.length]
            del self._lengths[bisect_left(self._lengths, item.length)]
