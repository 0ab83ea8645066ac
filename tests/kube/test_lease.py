"""Two candidates, one Lease: who leads, and when."""

import asyncio
from datetime import UTC, datetime

import pytest
from faulty_gateway import FaultyGateway, LoseAnswer, timeout
from manual_clock import ManualClock, settle

from embedding_operator.kube.gateway import LEASE, Gateway, Object
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.lease import Elector, LeaseLost
from embedding_operator.settings import LeaseSettings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api() -> MemoryGateway:
    return MemoryGateway()


def candidate(gateway: Gateway, identity: str, *, clock: ManualClock, jitter: float = 0.0) -> Elector:
    return Elector(
        gateway,
        namespace="system",
        identity=identity,
        settings=LeaseSettings(),
        clock=clock,
        now=lambda: datetime.fromtimestamp(clock.monotonic(), UTC),
        jitter=lambda: jitter,
    )


def holder(api: MemoryGateway) -> str:
    lease = api.peek(LEASE, namespace="system", name="embedding-operator")
    assert lease is not None
    return str(lease["spec"]["holderIdentity"])


async def test_the_first_candidate_leads_and_the_second_stands_by_while_the_first_renews(
    api: MemoryGateway, clock: ManualClock
) -> None:
    first, second = candidate(api, "a", clock=clock), candidate(api, "b", clock=clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    standing_by = asyncio.create_task(second.acquire())
    await clock.advance(120)
    assert holder(api) == "a"
    assert not holding.done()
    assert not standing_by.done()
    for task in (holding, standing_by):
        task.cancel()
    await asyncio.gather(holding, standing_by, return_exceptions=True)


async def test_a_standby_takes_over_when_the_leader_stops_renewing(api: MemoryGateway, clock: ManualClock) -> None:
    await candidate(api, "a", clock=clock).acquire()
    standing_by = asyncio.create_task(candidate(api, "b", clock=clock).acquire())
    await clock.advance(7)
    assert not standing_by.done()
    await clock.advance(3)
    await standing_by
    assert holder(api) == "b"
    lease = api.peek(LEASE, namespace="system", name="embedding-operator")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 1


async def test_a_standby_looks_again_at_the_moment_when_the_lease_expires(
    api: MemoryGateway, clock: ManualClock
) -> None:
    """Not at its next regular look, which comes up to 1.2 s later."""
    await candidate(api, "a", clock=clock).acquire()
    standing_by = asyncio.create_task(candidate(api, "b", clock=clock, jitter=1.0).acquire())
    await clock.advance(7.9)
    assert not standing_by.done()
    await clock.advance(0.1)
    await standing_by


async def test_a_released_lease_is_taken_at_the_next_look(api: MemoryGateway, clock: ManualClock) -> None:
    first = candidate(api, "a", clock=clock)
    await first.acquire()
    standing_by = asyncio.create_task(candidate(api, "b", clock=clock).acquire())
    await clock.advance(2)
    await first.release()
    await clock.advance(1)
    await standing_by
    assert holder(api) == "b"


async def test_a_leader_that_cannot_renew_gives_up_before_a_standby_can_take_over(
    api: MemoryGateway, clock: ManualClock
) -> None:
    faulty = FaultyGateway(api)
    first = candidate(faulty, "a", clock=clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    standing_by = asyncio.create_task(candidate(api, "b", clock=clock).acquire())
    await clock.advance(1)
    for call in range(20):
        faulty.fail_next(timeout(), after=call)
    lost_after = 0
    while not holding.done():
        await clock.advance(1)
        lost_after += 1
        assert lost_after <= 20
    assert not standing_by.done()
    with pytest.raises(LeaseLost, match="could not be renewed"):
        await holding
    await clock.advance(10)
    await standing_by


async def test_one_failed_renewal_is_ridden_out(api: MemoryGateway, clock: ManualClock) -> None:
    faulty = FaultyGateway(api)
    first = candidate(faulty, "a", clock=clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    faulty.fail_next(timeout())
    await clock.advance(3)
    faulty.fail_next(LoseAnswer())
    await clock.advance(60)
    assert not holding.done()
    assert holder(api) == "a"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal(api: MemoryGateway, clock: ManualClock) -> None:
    first = candidate(api, "a", clock=clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    api.edit(
        LEASE, lambda lease: lease["spec"].update(holderIdentity="b"), namespace="system", name="embedding-operator"
    )
    await clock.advance(3)
    with pytest.raises(LeaseLost, match="taken by another replica"):
        await holding


async def test_a_deleted_lease_is_made_again_by_its_holder(api: MemoryGateway, clock: ManualClock) -> None:
    first = candidate(api, "a", clock=clock)
    await first.acquire()
    holding = asyncio.create_task(first.hold())
    await clock.advance(2)
    api.remove(LEASE, namespace="system", name="embedding-operator")
    await clock.advance(5)
    assert not holding.done()
    assert holder(api) == "a"
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


async def test_a_candidate_keeps_trying_while_the_api_server_is_away(api: MemoryGateway, clock: ManualClock) -> None:
    faulty = FaultyGateway(api)
    for call in range(5):
        faulty.fail_next(timeout(), after=call)
    acquiring = asyncio.create_task(candidate(faulty, "a", clock=clock).acquire())
    await clock.advance(4)
    assert not acquiring.done()
    await clock.advance(4)
    await acquiring
    await settle()
    assert holder(api) == "a"


class _SlowAnswers(MemoryGateway):
    """A create is carried out, and its answer never comes."""

    async def create(self, manifest: Object) -> Object:
        await super().create(manifest)
        return await asyncio.get_running_loop().create_future()


async def test_a_candidate_that_is_cancelled_while_it_takes_the_lease_gives_it_up(clock: ManualClock) -> None:
    api = _SlowAnswers()
    cancelled = candidate(api, "a", clock=clock)
    acquiring = asyncio.create_task(cancelled.acquire())
    await settle()
    assert holder(api) == "a"
    acquiring.cancel()
    await asyncio.gather(acquiring, return_exceptions=True)
    await cancelled.release()
    assert holder(api) == ""


async def test_a_standby_that_ends_leaves_the_holders_lease_alone(api: MemoryGateway, clock: ManualClock) -> None:
    await candidate(api, "a", clock=clock).acquire()
    standby = candidate(api, "b", clock=clock)
    acquiring = asyncio.create_task(standby.acquire())
    await settle()
    acquiring.cancel()
    await asyncio.gather(acquiring, return_exceptions=True)
    calls = len(api.calls)
    await standby.release()
    assert holder(api) == "a"
    assert len(api.calls) == calls
