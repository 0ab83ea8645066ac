"""How long texts wait when more comes than can be computed, by a clock that only the simulation moves."""

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from embedding_runtime.core.jobs import Item, Job, Tokens
from embedding_runtime.core.queue import LATEST_TURN_SECONDS, OLDEST_FIRST_SECONDS, TokenQueue

SPEED = 5000.0  # tokens a second, padding counted, of the one worker
BATCH_TOKENS = 1024
QUEUE_TOKENS = 20_000  # admission: what comes while so many wait is refused


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@dataclass
class Simulation:
    """One worker that computes batch after batch; requests come at their times, given by `arrive`."""

    loop: asyncio.AbstractEventLoop
    pace: float = 0.25 * SPEED  # of a large request's turns, as the engine sets it
    now: float = 0.0
    arrived: dict[Item, float] = field(default_factory=dict)
    ahead: dict[Item, int] = field(default_factory=dict)  # tokens that waited when it came
    waited: dict[Item, float] = field(default_factory=dict)
    batches: list[Sequence[Item]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = TokenQueue(max_batch_tokens=BATCH_TOKENS, clock=lambda: self.now)

    def put(self, lengths: Sequence[int]) -> list[Item]:
        if self.queue.tokens >= QUEUE_TOKENS:
            return []
        items = Job.create([Tokens(ids=[0] * length) for length in lengths], loop=self.loop).items
        for item in items:
            self.arrived[item], self.ahead[item] = self.now, self.queue.tokens
        self.queue.put(items, seconds_per_token=1 / self.pace)
        return items

    def run(self, *, seconds: float, arrive: Callable[[float], Sequence[Sequence[int]]]) -> None:
        """`arrive` gives the requests that came since it was asked last, by the time now."""
        end = self.now + seconds
        while self.now < end:
            for lengths in arrive(self.now):
                self.put(lengths)
            if self.queue.tokens:
                self.step()
            else:
                self.now += 0.01

    def step(self) -> None:
        batch = self.queue.take()
        self.batches.append(batch)
        for item in batch:
            self.waited[item] = self.now - self.arrived[item]
        self.now += len(batch) * max(item.length for item in batch) / SPEED


def stream(rate: float, *, lengths: Callable[[], Sequence[int]]) -> Callable[[float], Iterator[Sequence[int]]]:
    """Requests at a rate, each of the texts that `lengths` says."""
    sent = 0

    def arrive(now: float) -> Iterator[Sequence[int]]:
        nonlocal sent
        while sent < now * rate:
            sent += 1
            yield lengths()

    return arrive


def test_long_texts_wait_little_longer_than_what_was_there_before_them_takes(loop: asyncio.AbstractEventLoop) -> None:
    """A flood of short texts, one and a half times what can be computed, and a long text among each hundred."""
    chance = random.Random(1)
    simulation = Simulation(loop)

    def lengths() -> list[int]:
        return [chance.randint(300, 512)] if chance.random() < 0.01 else [chance.randint(8, 40)]

    simulation.run(seconds=120, arrive=stream(1.5 * SPEED / 28, lengths=lengths))

    long = [item for item in simulation.waited if item.length >= 300]
    assert len(long) > 100
    delays = [simulation.waited[item] - simulation.ahead[item] / SPEED for item in long]
    worst, waits = max(delays), [simulation.waited[item] for item in long]
    print(f"long texts: longest wait {max(waits):.1f} s; most beyond a perfect first come first served {worst:.1f} s")
    assert worst < 2.5, "padding alone makes up for most of it: a perfect order has none"
    assert max(waits) < 1.6 * QUEUE_TOKENS / SPEED


def test_texts_of_one_length_do_not_hold_up_another_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    """Texts of 100 tokens without end, more than can be computed: their length always has a full batch to offer."""
    simulation = Simulation(loop)
    flood = stream(2 * SPEED / 100, lengths=lambda: [100])
    simulation.run(seconds=10, arrive=flood)
    others: list[Item] = []
    for length in (10, 90, 110, 500):
        while not (items := simulation.put([length])):
            simulation.step()
        others += items
    simulation.run(seconds=30, arrive=flood)

    assert all(item in simulation.waited for item in others)
    worst = max(simulation.waited[item] - simulation.ahead[item] / SPEED for item in others)
    print(f"most beyond a perfect first come first served: {worst:.1f} s")
    assert worst < 0.5


@pytest.mark.parametrize("waits_long", [False, True])
def test_the_nearest_in_length_join_first_and_the_oldest_once_the_lead_has_waited_long(
    loop: asyncio.AbstractEventLoop, waits_long: bool
) -> None:
    simulation = Simulation(loop)
    [lead] = simulation.put([100])
    old = [item for _ in range(8) for item in simulation.put([110])]
    young = [item for _ in range(9) for item in simulation.put([100])]
    simulation.now += OLDEST_FIRST_SECONDS + (0.1 if waits_long else -0.1)

    assert simulation.queue.take() == [lead, *(old if waits_long else young)]


def test_a_large_request_lets_short_ones_pass_and_is_done_no_later_for_it(loop: asyncio.AbstractEventLoop) -> None:
    """Four seconds of work in one request, then single texts at half of what can be computed."""
    simulation = Simulation(loop)
    large = simulation.put([20] * 1000)
    simulation.run(seconds=12, arrive=stream(0.5 * SPEED / 20, lengths=lambda: [20]))

    singles = sorted(wait for item, wait in simulation.waited.items() if item not in set(large))
    done = max(simulation.waited[item] for item in large)
    print(f"single texts: longest wait {singles[-1]:.2f} s; the large request is done after {done:.1f} s")
    assert singles[-1] < 0.5
    assert done < 1.1 * 4 / (1 - 0.5), "what the singles leave is all its own"


def test_a_large_request_is_passed_for_a_bounded_time_only(loop: asyncio.AbstractEventLoop) -> None:
    """Single texts at more than can be computed: they may pass for LATEST_TURN_SECONDS, and not for ever."""
    simulation = Simulation(loop)
    large = simulation.put([20] * 990)
    simulation.run(seconds=60, arrive=stream(1.5 * SPEED / 20, lengths=lambda: [20]))

    done = max(simulation.waited.get(item, math.inf) for item in large)
    bound = LATEST_TURN_SECONDS + 2 * QUEUE_TOKENS / SPEED
    print(f"a request of {990 * 20} tokens under overload: done after {done:.1f} s, bound {bound:.1f} s")
    assert done <= bound
