"""A model in trouble takes its own turn and nobody else's."""

import asyncio
from itertools import pairwise

import pytest
from manual_clock import ManualClock, settle
from running_queue import running

from embedding_operator.kube.gateway import Unreachable
from embedding_operator.reconcile.outcome import Done, Outcome, Wait
from embedding_operator.workqueue import WorkQueue

HEALTHY = [f"healthy-{number}" for number in range(20)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Models:
    """Those whose names begin with `ill` hang until they are cured; all others are done at once."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun: list[str] = []
        self.cured = asyncio.Event()

    async def __call__(self, key: str) -> Outcome:
        self.begun.append(key)
        if key.startswith("ill"):
            await self.cured.wait()
        self.done.append(key)
        return Done()


async def test_a_reconcile_that_hangs_delays_no_other_key(clock: ManualClock) -> None:
    models = Models()
    async with running(models, clock=clock, workers=2) as queue:
        for key in ("ill", *HEALTHY):
            queue.add(key)
        await settle()
        assert models.done == HEALTHY
        assert queue.state.running == 1
        models.cured.set()
        await settle()
        assert models.done == [*HEALTHY, "ill"]


async def test_a_key_that_is_added_while_it_hangs_takes_no_second_worker(clock: ManualClock) -> None:
    models = Models()
    async with running(models, clock=clock, workers=2) as queue:
        for _ in range(5):
            queue.add("ill")
            await settle()
        for key in HEALTHY:
            queue.add(key)
        await settle()
        assert models.done == HEALTHY
        assert models.begun.count("ill") == 1
        models.cured.set()
        await settle()


async def test_where_every_worker_hangs_the_others_come_once_the_time_is_up(clock: ManualClock) -> None:
    models = Models()
    async with running(models, clock=clock, workers=2, limit=0.01) as queue, asyncio.timeout(5):
        for key in ("ill-1", "ill-2", *HEALTHY):
            queue.add(key)
        while len(models.done) < len(HEALTHY) or queue.state.delayed < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert models.done == HEALTHY
        assert queue.state.running == 0, "they come back after a while, and not at once"
        models.cured.set()
        await clock.advance(2)
        assert set(models.done) == {"ill-1", "ill-2", *HEALTHY}


async def test_a_key_that_always_comes_back_takes_turns_with_the_others(clock: ManualClock) -> None:
    order: list[str] = []

    async def reconcile(key: str) -> Outcome:
        order.append(key)
        await asyncio.sleep(0)
        if key == "restless" and len(order) < 60:
            queue.add("restless")
        return Done()

    async with running(reconcile, clock=clock, workers=1) as queue:
        queue.add("restless")
        await settle()
        for key in HEALTHY:
            queue.add(key)
        await settle()
        place = order.index(HEALTHY[0])
        assert order[place : place + len(HEALTHY)] == HEALTHY, "each waits for those who were there before it alone"
        for _ in range(4):
            await settle()


@pytest.mark.parametrize("trouble", [Unreachable("down"), ValueError("a bug"), None], ids=["api", "bug", "waits"])
async def test_a_key_that_never_succeeds_keeps_no_worker_meanwhile(
    clock: ManualClock, trouble: Exception | None
) -> None:
    done: list[str] = []

    async def reconcile(key: str) -> Outcome:
        if key == "ill":
            if trouble is not None:
                raise trouble
            return Wait(after_seconds=1.0, reason="it waits for ever")
        done.append(key)
        return Done()

    async with running(reconcile, clock=clock, workers=1) as queue:
        queue.add("ill")
        for key in HEALTHY:
            queue.add(key)
        await settle()
        assert done == HEALTHY
        assert queue.state.delayed == 1


async def test_reconciles_that_wait_for_nothing_leave_every_other_round_of_the_loop_to_others() -> None:
    """The Lease, audits and answers of the API server come in those rounds."""
    log: list[str] = []

    async def reconcile(key: str) -> Outcome:
        log.append(key)
        return Done()

    async def tick() -> None:
        while True:
            log.append("another")
            await asyncio.sleep(0)

    queue: WorkQueue[str] = WorkQueue(reconcile, workers=8)
    for number in range(40):
        queue.add(f"model-{number}")
    tasks = [asyncio.create_task(tick()), asyncio.create_task(queue.run())]
    await settle()
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    begun = log[log.index("model-0") : log.index("model-39") + 1]
    assert all("another" in pair for pair in pairwise(begun))
