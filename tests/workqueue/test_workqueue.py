"""What the work queue promises to the reconciler."""

import asyncio
import logging
from collections.abc import Sequence

import pytest
from manual_clock import ManualClock, settle
from running_queue import running

from embedding_operator.clock import backoff
from embedding_operator.kube.gateway import Conflict, TooManyRequests, Unreachable
from embedding_operator.reconcile.outcome import Done, Outcome, Stalled, Wait
from embedding_operator.workqueue import WorkQueue


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Script:
    """A reconcile that follows a list of outcomes and errors, and then is done."""

    def __init__(self, clock: ManualClock, outcomes: Sequence[Outcome | Exception] = ()) -> None:
        self._clock = clock
        self._outcomes = list(outcomes)
        self.times: list[float] = []

    async def __call__(self, key: str) -> Outcome:
        self.times.append(self._clock.monotonic() - 1000.0)
        outcome = self._outcomes.pop(0) if self._outcomes else Done()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Gate:
    """A reconcile that stays inside until it is let out, and remembers who was inside together."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.inside: set[str] = set()
        self.together: list[set[str]] = []
        self.open = asyncio.Event()

    async def __call__(self, key: str) -> Outcome:
        assert key not in self.inside
        self.entered.append(key)
        self.inside.add(key)
        self.together.append(set(self.inside))
        await self.open.wait()
        self.inside.discard(key)
        return Done()


async def test_a_key_added_many_times_while_it_waits_is_worked_on_once(clock: ManualClock) -> None:
    gate = Gate()
    async with running(gate, clock=clock, workers=1) as queue:
        queue.add("busy")
        await settle()
        for _ in range(5):
            queue.add("a")
        gate.open.set()
        await settle()
    assert gate.entered == ["busy", "a"]


async def test_a_key_added_while_it_is_worked_on_runs_once_more_and_never_twice_at_a_time(clock: ManualClock) -> None:
    gate = Gate()
    async with running(gate, clock=clock, workers=4) as queue:
        queue.add("a")
        await settle()
        queue.add("a")
        queue.add("a")
        await settle()
        assert gate.entered == ["a"]
        gate.open.set()
        await settle()
    assert gate.entered == ["a", "a"]


async def test_different_keys_run_side_by_side_up_to_the_number_of_workers(clock: ManualClock) -> None:
    gate = Gate()
    async with running(gate, clock=clock, workers=2) as queue:
        for key in ("a", "b", "c"):
            queue.add(key)
        await settle()
        assert gate.inside == {"a", "b"}
        assert queue.state.waiting == 1
        gate.open.set()
        await settle()
    assert gate.entered == ["a", "b", "c"]


async def test_failures_come_back_at_doubling_intervals_up_to_five_minutes(clock: ManualClock) -> None:
    script = Script(clock, [Unreachable("down")] * 12)
    async with running(script, clock=clock) as queue:
        queue.add("a")
        await clock.advance(3000)
    gaps = [round(later - earlier) for earlier, later in zip(script.times, script.times[1:], strict=False)]
    assert gaps == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


async def test_a_success_forgets_the_failures_before_it(clock: ManualClock) -> None:
    script = Script(clock, [Unreachable("down"), Unreachable("down"), Done(), Unreachable("down")])
    async with running(script, clock=clock) as queue:
        queue.add("a")
        await clock.advance(10)
        queue.add("a")
        await clock.advance(10)
    assert [round(time) for time in script.times] == [0, 1, 3, 10, 11]


async def test_a_first_conflict_comes_back_at_once_and_a_second_one_backs_off(clock: ManualClock) -> None:
    script = Script(clock, [Conflict("moved"), Conflict("moved")])
    async with running(script, clock=clock) as queue:
        queue.add("a")
        await clock.advance(10)
    assert [round(time) for time in script.times] == [0, 0, 2]


async def test_retry_after_of_the_api_server_is_obeyed(clock: ManualClock) -> None:
    script = Script(clock, [TooManyRequests("slow down", status=429, retry_after=40.0)])
    async with running(script, clock=clock) as queue:
        queue.add("a")
        await clock.advance(100)
    assert [round(time) for time in script.times] == [0, 40]


async def test_wait_comes_back_by_itself_and_stalled_does_not(clock: ManualClock) -> None:
    script = Script(clock, [Wait(after_seconds=30, reason="a pod starts"), Stalled(reason="golden wrong")])
    async with running(script, clock=clock) as queue:
        queue.add("a")
        await clock.advance(1000)
    assert [round(time) for time in script.times] == [0, 30]


async def test_the_earliest_of_several_planned_returns_counts_and_only_once(clock: ManualClock) -> None:
    script = Script(clock)
    async with running(script, clock=clock) as queue:
        queue.add_after("a", seconds=60)
        queue.add_after("a", seconds=20)
        queue.add_after("a", seconds=40)
        await clock.advance(200)
    assert [round(time) for time in script.times] == [20]


async def test_an_event_overtakes_a_planned_return(clock: ManualClock) -> None:
    script = Script(clock)
    async with running(script, clock=clock) as queue:
        queue.add_after("a", seconds=60)
        await clock.advance(5)
        queue.add("a")
        await clock.advance(200)
    assert [round(time) for time in script.times] == [5]


async def test_an_unexpected_error_is_logged_with_its_stack_and_stops_nothing(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(clock, [KeyError("a bug")])
    with caplog.at_level(logging.ERROR):
        async with running(script, clock=clock) as queue:
            queue.add("a")
            queue.add("b")
            await clock.advance(10)
    assert len(script.times) == 3
    assert "KeyError" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_reconcile_that_hangs_is_given_up_and_retried(clock: ManualClock) -> None:
    calls = 0

    async def hang_once(key: str) -> Outcome:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return Done()

    async with running(hang_once, clock=clock, limit=0.01) as queue, asyncio.timeout(5):
        queue.add("a")
        while not queue.state.delayed:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await clock.advance(2)
    assert calls == 2


async def test_stop_lets_the_running_reconcile_end_and_starts_no_other(clock: ManualClock) -> None:
    gate = Gate()
    queue = WorkQueue(gate, workers=1, clock=clock)
    task = asyncio.create_task(queue.run())
    queue.add("a")
    queue.add("b")
    await settle()
    queue.stop()
    await settle()
    assert not task.done()
    gate.open.set()
    await task
    assert gate.entered == ["a"]


async def test_the_age_of_the_oldest_waiting_key_is_known(clock: ManualClock) -> None:
    gate = Gate()
    async with running(gate, clock=clock, workers=1) as queue:
        queue.add("busy")
        await settle()
        queue.add("a")
        await clock.advance(42)
        assert queue.state.oldest_seconds == pytest.approx(42)
        gate.open.set()
        await settle()
        assert queue.state.oldest_seconds == 0


@pytest.mark.parametrize(("attempt", "least", "most"), [(1, 8.0, 10.0), (3, 32.0, 40.0), (60, 240.0, 300.0)])
def test_jitter_only_takes_away(attempt: int, least: float, most: float) -> None:
    assert backoff(attempt, first=10, limit=300, jitter=lambda: 1.0) == pytest.approx(least)
    assert backoff(attempt, first=10, limit=300, jitter=lambda: 0.0) == pytest.approx(most)
