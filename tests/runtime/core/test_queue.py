"""Which texts share a batch."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_runtime.core.jobs import Item, Job, Tokens
from embedding_runtime.core.queue import TokenQueue


@pytest.fixture
def loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def items_of(lengths: Sequence[int], *, loop: asyncio.AbstractEventLoop) -> list[Item]:
    return Job.create([Tokens(ids=[0] * length) for length in lengths], loop=loop).items


def lengths_of(batch: Sequence[Item]) -> list[int]:
    return [item.length for item in batch]


def test_the_oldest_text_leads_the_batch_whatever_its_length(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=1024)
    queue.put(items_of([400, 10, 10, 10], loop=loop))

    assert lengths_of(queue.take()) == [400]
    assert lengths_of(queue.take()) == [10, 10, 10]


def test_texts_of_similar_length_join_and_others_wait(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=4096)
    queue.put(items_of([100, 300, 110, 120, 20], loop=loop))

    assert sorted(lengths_of(queue.take())) == [100, 110, 120]
    assert lengths_of(queue.take()) == [300]
    assert lengths_of(queue.take()) == [20]


def test_the_budget_counts_padding(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=300)
    queue.put(items_of([90, 100, 90, 90], loop=loop))

    batch = queue.take()
    assert max(lengths_of(batch)) * len(batch) <= 300
    assert len(batch) == 3


def test_a_text_longer_than_the_budget_goes_alone(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=64)
    queue.put(items_of([512, 500], loop=loop))

    assert lengths_of(queue.take()) == [512]
    assert lengths_of(queue.take()) == [500]


def test_a_request_that_was_given_up_costs_nothing(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=1024)
    gone, alive = items_of([10, 10, 10], loop=loop), items_of([10], loop=loop)
    queue.put(gone)
    queue.put(alive)
    gone[0].job.abandoned = True

    assert queue.take() == alive
    assert queue.oldest_age() == 0
    assert queue.tokens == 0


def test_free_workers_share_what_waits(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=10_000)
    batches: list[list[Item]] = []
    workers = [threading.Thread(target=lambda: batches.append(queue.take())) for _ in range(2)]
    for worker in workers:
        worker.start()
    while queue._idle < 2:
        threading.Event().wait(0.001)

    queue.put(items_of([100] * 10, loop=loop))
    for worker in workers:
        worker.join(timeout=10)

    assert sorted(len(batch) for batch in batches) == [5, 5]


def test_what_a_failed_batch_held_goes_first_in_its_groups(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=30)
    items = items_of([10] * 6, loop=loop)
    queue.put(items)
    failed = queue.take()
    for item in failed:
        item.failures += 1

    queue.put_back([failed[:1], failed[1:]])

    assert queue.tokens == 60
    assert [queue.take(), queue.take()] == [failed[:1], failed[1:]]
    assert queue.take() == items[3:]
    assert queue.tokens == queue.texts == 0


def test_of_a_group_that_is_tried_again_only_what_somebody_waits_for_is_computed(
    loop: asyncio.AbstractEventLoop,
) -> None:
    queue = TokenQueue(max_batch_tokens=30)
    gone, stays, left = (items_of([10], loop=loop) for _ in range(3))
    queue.put([*gone, *stays, *left])
    failed = queue.take()
    for item in failed:
        item.failures += 1
    queue.put_back([failed])
    queue.discard(gone)
    left[0].job.abandoned = True

    assert queue.take() == stays
    assert queue.tokens == 0


def test_what_goes_ahead_leads_and_others_may_join_it(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=40)
    waiting, urgent = items_of([10] * 5, loop=loop), items_of([10, 12], loop=loop)
    queue.put(waiting)
    queue.put(urgent, ahead=True)

    batch = queue.take()
    assert batch == [urgent[0], *waiting[:3]]
    assert queue.take() == [urgent[1], *waiting[3:]]


def test_what_is_discarded_no_longer_counts_as_waiting(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=30)
    gone, stays = items_of([10] * 50 + [20] * 50, loop=loop), items_of([10], loop=loop)
    queue.put(gone)
    queue.put(stays)
    taken = queue.take()

    queue.discard(gone)

    assert taken == gone[:3]
    assert queue.tokens == 10
    assert queue.take() == stays
    assert queue.tokens == 0


def test_a_closed_queue_is_emptied_and_then_gives_nothing(loop: asyncio.AbstractEventLoop) -> None:
    queue = TokenQueue(max_batch_tokens=1024)
    queue.put(items_of([5], loop=loop))
    queue.close()

    assert len(queue.take()) == 1
    assert queue.take() == []


def test_the_age_is_that_of_the_oldest_waiting_text(loop: asyncio.AbstractEventLoop) -> None:
    now = 100.0
    queue = TokenQueue(max_batch_tokens=10, clock=lambda: now)
    queue.put(items_of([10], loop=loop))
    now = 103.0
    queue.put(items_of([10], loop=loop))
    now = 105.0

    assert queue.oldest_age() == 5.0
    queue.take()
    assert queue.oldest_age() == 2.0


@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=80), budget=st.integers(16, 2048))
def test_every_text_is_in_exactly_one_batch_and_no_batch_exceeds_the_budget(lengths: list[int], budget: int) -> None:
    loop = asyncio.new_event_loop()
    try:
        items = items_of(lengths, loop=loop)
    finally:
        loop.close()
    queue = TokenQueue(max_batch_tokens=budget)
    queue.put(items)
    queue.close()

    taken: list[Item] = []
    while batch := queue.take():
        assert len(batch) == 1 or max(lengths_of(batch)) * len(batch) <= budget
        assert batch[0] is next(item for item in items if item not in taken), "the oldest must lead"
        taken += batch

    assert sorted(item.index for item in taken) == list(range(len(lengths)))
    assert queue.tokens == 0
