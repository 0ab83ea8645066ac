"""The queue between requests and workers: batches by tokens, without timers.

A free worker takes what waits. The oldest waiting text leads the batch, so no length starves; texts of similar length
join it, so that little is padded; the budget counts padded tokens. When several workers are free they share what waits
instead of one taking all of it. What a failed batch held comes back in groups, which go first and share a batch with
nothing else.

Age is counted from a text's turn. The first text of a request has it at once; each further one as much later as those
before it take at the pace given with them, so that a large request does not hold up all that come after it, but never
more than LATEST_TURN_SECONDS later. A text whose turn came first leads first: nothing that comes later can pass it.

Which texts join the lead is a matter of padding, the nearest in length first, until the lead has waited longer than
OLDEST_FIRST_SECONDS. From then on the oldest of similar length join first.
"""

import heapq
import math
import threading
import time
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from embedding_runtime.core.jobs import Item

# A text may be this much shorter than the longest of its batch: padding a few tokens costs less than another batch.
PADDING_FLOOR_TOKENS = 16
PADDING_SHARE = 0.25

# A share smaller than this is not worth a batch of its own: the fixed cost of one forward pass would dominate.
SMALLEST_SHARE_TOKENS = 256

# How long the others of a large request may be passed by what comes later, and how long a lead may be passed over by
# younger texts of a better length. docs/operations.md tells what follows for the longest wait.
LATEST_TURN_SECONDS = 10.0
OLDEST_FIRST_SECONDS = 2.0

# After a batch that did not fit into memory: how long batches stay smaller than it.
SMALLER_BATCHES_SECONDS = 300.0


class _Place(NamedTuple):
    """Where an item stands: those that go ahead first, then by turn (by the queue's clock), then by arrival."""

    rank: int
    turn: float
    number: int
    item: Item


_AHEAD, _IN_TURN = 0, 1


class TokenQueue:
    """Thread-safe. `put` and `discard` from the event loop, `take` and `put_back` from worker threads."""

    def __init__(self, *, max_batch_tokens: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_batch_tokens = self._smaller = max_batch_tokens
        self._smaller_until = -math.inf
        self._clock = clock
        self._changed = threading.Condition()
        # Every waiting item, oldest first, with its arrival. An ordered dict, not a plain one: taking the first again
        # and again would walk over all that were taken before.
        self._arrivals: OrderedDict[Item, float] = OrderedDict()
        self._again: deque[Sequence[Item]] = deque()
        # Heaps. What left the queue stays in them until it comes to the top.
        self._line: list[_Place] = []
        self._by_length: dict[int, list[_Place]] = {}  # items that may share a batch
        self._counts: dict[int, int] = {}  # how many of each length wait
        self._lengths: list[int] = []  # sorted keys of the two
        self._tokens = 0
        self._number = 0
        self._idle = 0
        self._closed = False

    def put(self, items: Iterable[Item], *, ahead: bool = False, seconds_per_token: float = 0.0) -> None:
        """Items of one request. `ahead`: before everything in turn. `seconds_per_token`: the pace of their turns."""
        with self._changed:
            now, turn = self._clock(), 0.0
            for item in items:
                self._arrivals[item] = now
                self._insert(item, rank=_AHEAD if ahead else _IN_TURN, turn=now + min(turn, LATEST_TURN_SECONDS))
                turn += item.length * seconds_per_token
            self._changed.notify_all()

    def put_back(self, groups: Iterable[Sequence[Item]]) -> None:
        """What a failed batch held: it has waited longest, so it goes first, each group as one batch."""
        with self._changed:
            now = self._clock()
            for group in reversed(list(groups)):
                self._again.appendleft(group)
                for item in reversed(group):
                    self._arrivals[item] = now
                    self._arrivals.move_to_end(item, last=False)
                    self._tokens += item.length
            self._changed.notify_all()

    def discard(self, items: Iterable[Item]) -> int:
        """Forget those of the items that still wait; how many they were."""
        with self._changed:
            waiting = [item for item in items if item in self._arrivals]
            for item in waiting:
                self._remove(item)
            return len(waiting)

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

    def shrink_batches(self, tokens: int) -> None:
        """A larger batch did not fit into memory: none above this is made for SMALLER_BATCHES_SECONDS."""
        with self._changed:
            self._smaller = max(1, min(tokens, self.batch_tokens))
            self._smaller_until = self._clock() + SMALLER_BATCHES_SECONDS

    @property
    def batch_tokens(self) -> int:
        """Most tokens of a batch now, padding counted."""
        return self._smaller if self._clock() < self._smaller_until else self._max_batch_tokens

    @property
    def tokens(self) -> int:
        """Tokens that wait now."""
        return self._tokens

    @property
    def texts(self) -> int:
        """Texts that wait now."""
        return len(self._arrivals)

    def oldest_age(self) -> float:
        """Seconds that the oldest waiting text has waited."""
        with self._changed:
            while self._arrivals:
                item, arrival = next(iter(self._arrivals.items()))
                if not item.job.abandoned:
                    return self._clock() - arrival
                self._remove(item)
            return 0.0

    def _gather(self) -> list[Item]:
        while self._again:
            waiting = [item for item in self._again.popleft() if item in self._arrivals]
            for item in waiting:
                self._remove(item)
            wanted = [item for item in waiting if not item.job.abandoned]
            if wanted:
                return wanted
        place = self._find_lead()
        if place is None:
            return []
        lead = place.item
        share = math.ceil(self._tokens / (self._idle + 1))
        budget = min(self.batch_tokens, max(share, SMALLEST_SHARE_TOKENS))
        self._remove(lead)
        if place.rank is _IN_TURN and self._clock() - place.turn > OLDEST_FIRST_SECONDS:
            return [lead, *self._join_oldest(lead.length, budget=budget)]
        return [lead, *self._join_nearest(lead.length, budget=budget)]

    def _join_nearest(self, lead: int, *, budget: int) -> list[Item]:
        joining: list[Item] = []
        shortest = longest = lead
        for length in self._nearest(lead):
            low, high = min(shortest, length), max(longest, length)
            if not _similar(low, high):
                continue
            found = self._take_first(length, count=budget // high - 1 - len(joining))
            if found:
                joining += found
                shortest, longest = low, high
        return joining

    def _join_oldest(self, lead: int, *, budget: int) -> list[Item]:
        joining: list[Item] = []
        shortest = longest = lead
        first = bisect_left(self._lengths, min(lead - PADDING_FLOOR_TOKENS, math.ceil(lead * (1 - PADDING_SHARE))))
        last = bisect_right(self._lengths, max(lead + PADDING_FLOOR_TOKENS, lead / (1 - PADDING_SHARE)))
        oldest = [place for length in self._lengths[first:last] if (place := self._find_first(length))]
        heapq.heapify(oldest)
        while oldest:
            item = heapq.heappop(oldest).item
            low, high = min(shortest, item.length), max(longest, item.length)
            if not _similar(low, high) or budget // high < 2 + len(joining):
                continue  # nor will any other of this length fit
            self._remove(item)
            joining.append(item)
            shortest, longest = low, high
            following = self._find_first(item.length)
            if following:
                heapq.heappush(oldest, following)
        return joining

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

    def _take_first(self, length: int, *, count: int) -> list[Item]:
        """At most `count` items of a length that somebody still wants, oldest first."""
        found: list[Item] = []
        while len(found) < count and (place := self._find_first(length)):
            self._remove(place.item)
            found.append(place.item)
        return found

    def _find_first(self, length: int) -> _Place | None:
        """The oldest item of a length that somebody still wants; those before it are forgotten."""
        places = self._by_length.get(length, [])
        while places:
            item = places[0].item
            # What is left here of one that is tried again is from its first time.
            if item in self._arrivals and not item.failures:
                if not item.job.abandoned:
                    return places[0]
                self._remove(item)
            else:
                heapq.heappop(places)
        return None

    def _find_lead(self) -> _Place | None:
        """The item whose turn came first and that somebody still wants; those before it are forgotten."""
        while self._line:
            place = self._line[0]
            if place.item in self._arrivals and not place.item.failures:
                if not place.item.job.abandoned:
                    return place
                self._remove(place.item)
            else:
                heapq.heappop(self._line)
        return None

    def _insert(self, item: Item, *, rank: int, turn: float) -> None:
        self._number += 1
        place = _Place(rank, turn, self._number, item)
        heapq.heappush(self._line, place)
        self._tokens += item.length
        length = item.length
        if length not in self._by_length:
            self._by_length[length], self._counts[length] = [], 0
            insort(self._lengths, length)
        heapq.heappush(self._by_length[length], place)
        self._counts[length] += 1

    def _remove(self, item: Item) -> None:
        del self._arrivals[item]
        self._tokens -= item.length
        if not self._arrivals:
            self._line.clear()
        if item.failures:
            return
        length = item.length
        self._counts[length] -= 1
        if not self._counts[length]:
            self._by_length.pop(length).clear()  # whoever looks through it sees that nothing is left
            del self._counts[length]
            del self._lengths[bisect_left(self._lengths, length)]


def _similar(shortest: int, longest: int) -> bool:
    """Whether texts of these lengths may share a batch."""
    return longest - shortest <= max(PADDING_FLOOR_TOKENS, PADDING_SHARE * longest)
