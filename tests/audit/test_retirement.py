"""Telling pods that the Service has left to end their clients' connections."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from fixed_tokens import FixedTokens
from manual_clock import ManualClock, settle
from pod_client_under_test import Asked, client_of

from embedding_model.ports import RetireOrder
from embedding_operator.audit.client import PodUnreachable, RouteUnknown
from embedding_operator.audit.retirement import GIVE_UP_SECONDS, MAX_RECALL_SECONDS, RETRY_SECONDS, Retirement
from embedding_operator.live_facts import LiveFacts
from embedding_operator.observe.facts import Key, PodRef

KEY, OTHER = Key("search", "a"), Key("search", "b")
BOOT = "boot-1"
ORDER = RetireOrder(boot_id=BOOT, retired=True)


def pod(name: str = "pod", *, key: Key = KEY, ip: str = "10.0.0.1", starts: int = 0) -> PodRef:
    return PodRef(key=key, name=name, uid=f"uid-{name}", ip=ip, starts=starts)


class Pods:
    """Pods that take the call, unless `error` is set."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.told: list[str] = []
        self.orders: list[RetireOrder] = []

    async def retire(self, pod: PodRef, *, order: RetireOrder) -> None:
        self.told.append(pod.ip)
        self.orders.append(order)
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def retirement_of(pods: Pods, *, clock: ManualClock, changed: list[Key]) -> AsyncIterator[Retirement]:
    retirement = Retirement(pods, on_change=changed.append, clock=clock)
    try:
        yield retirement
    finally:
        await retirement.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_pod_is_told_once_and_its_model_hears_of_it(clock: ManualClock) -> None:
    pods, changed = Pods(), list[Key]()
    async with retirement_of(pods, clock=clock, changed=changed) as retirement:
        assert not retirement.is_retired(pod())
        retirement.request(pod(), boot_id=BOOT, retires=True)
        retirement.request(pod(), boot_id=BOOT, retires=True)
        assert not retirement.is_retired(pod())
        await settle()
        assert retirement.is_retired(pod())
        assert pods.told == ["10.0.0.1"]
        assert changed == [KEY]


async def test_a_container_that_started_anew_is_told_anew(clock: ManualClock) -> None:
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        assert not retirement.is_retired(pod(starts=1))


async def test_a_pod_that_cannot_be_reached_is_tried_for_a_while_and_then_counts_as_told(clock: ManualClock) -> None:
    pods, changed = Pods(PodUnreachable("no answer")), list[Key]()
    async with retirement_of(pods, clock=clock, changed=changed) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await clock.advance(GIVE_UP_SECONDS - RETRY_SECONDS)
        assert not retirement.is_retired(pod())
        await clock.advance(2 * RETRY_SECONDS)
        assert retirement.is_retired(pod())
        assert len(pods.told) > GIVE_UP_SECONDS / RETRY_SECONDS / 2
        assert changed == [KEY]


async def test_a_pod_that_answers_after_all_is_told(clock: ManualClock) -> None:
    pods = Pods(PodUnreachable("no answer"))
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await clock.advance(2 * RETRY_SECONDS)
        pods.error = None
        await clock.advance(2 * RETRY_SECONDS)
        assert retirement.is_retired(pod())


async def test_an_older_pod_that_knows_no_such_route_counts_as_told_at_once(clock: ManualClock) -> None:
    pods = Pods(RouteUnknown("404"))
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        assert retirement.is_retired(pod())
        assert pods.told == ["10.0.0.1"]


async def test_a_pod_without_an_address_has_nobody_to_tell(clock: ManualClock) -> None:
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(ip=""), boot_id=BOOT, retires=True)
        await settle()
        assert retirement.is_retired(pod(ip=""))
        assert pods.told == []


async def test_a_pod_that_a_reconcile_does_not_ask_about_is_forgotten_and_no_longer_called(clock: ManualClock) -> None:
    """Its address may be another workload's by then."""
    pods = Pods(PodUnreachable("no answer"))
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        with retirement.round_of(KEY):
            retirement.request(pod(), boot_id=BOOT, retires=True)
            retirement.request(pod("second", ip="10.0.0.2"), boot_id=BOOT, retires=True)
        await settle()
        with retirement.round_of(KEY):
            retirement.request(pod("second", ip="10.0.0.2"), boot_id=BOOT, retires=True)
        pods.told.clear()
        await clock.advance(3 * RETRY_SECONDS)
        assert set(pods.told) == {"10.0.0.2"}


async def test_a_reconcile_of_another_model_forgets_nothing(clock: ManualClock) -> None:
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        with retirement.round_of(KEY):
            retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        with retirement.round_of(OTHER):
            retirement.is_retired(pod("theirs", key=OTHER))
        with retirement.round_of(KEY):
            assert retirement.is_retired(pod())


async def test_a_reconcile_that_failed_forgets_nothing(clock: ManualClock) -> None:
    async with retirement_of(Pods(), clock=clock, changed=[]) as retirement:
        with retirement.round_of(KEY):
            retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        with pytest.raises(RuntimeError), retirement.round_of(KEY):
            raise RuntimeError("the API server gave no answer")
        assert retirement.is_retired(pod())


async def test_an_order_names_the_process_and_waits_until_that_is_known(clock: ManualClock) -> None:
    """The address may be another pod's by now."""
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=None, retires=True)
        await clock.advance(2 * RETRY_SECONDS)
        assert (pods.orders, retirement.is_retired(pod())) == ([], False)
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await clock.advance(RETRY_SECONDS)
        assert (pods.orders, retirement.is_retired(pod())) == ([ORDER], True)


async def test_a_process_that_never_says_which_it_is_counts_as_told(clock: ManualClock) -> None:
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=None, retires=True)
        await clock.advance(GIVE_UP_SECONDS + RETRY_SECONDS)
        assert (pods.orders, retirement.is_retired(pod())) == ([], True)


async def test_another_process_of_the_same_start_is_told_anew(clock: ManualClock) -> None:
    pods = Pods()
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        for boot_id in (BOOT, BOOT, "boot-2"):
            retirement.request(pod(), boot_id=boot_id, retires=True)
            await settle()
    assert [order.boot_id for order in pods.orders] == [BOOT, "boot-2"]


async def test_a_pod_that_serves_again_is_told_until_it_hears_it(clock: ManualClock) -> None:
    pods, changed = Pods(), list[Key]()
    async with retirement_of(pods, clock=clock, changed=changed) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        pods.error = PodUnreachable("no answer")
        retirement.request(pod(), boot_id=BOOT, retires=False)
        await clock.advance(6 * GIVE_UP_SECONDS)
        assert retirement.is_retired(pod()), "it has not heard of it"
        pods.error = None
        await clock.advance(MAX_RECALL_SECONDS)
        assert retirement.is_retired(pod()) is False
        told = len(pods.orders)
        retirement.request(pod(), boot_id=BOOT, retires=False)
        await clock.advance(60)
    assert (pods.orders[0], pods.orders[-1]) == (ORDER, RetireOrder(boot_id=BOOT, retired=False))
    assert (len(pods.orders), len(changed)) == (told, 2)


async def test_an_order_that_no_reconcile_wants_any_more_is_not_tried_on(clock: ManualClock) -> None:
    """The Service came back before the pod had heard that it left."""
    pods = Pods(PodUnreachable("no answer"))
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        with retirement.round_of(KEY):
            retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
        with retirement.round_of(KEY):
            retirement.is_retired(pod())
        pods.error = None
        tried = len(pods.orders)
        await clock.advance(2 * GIVE_UP_SECONDS)
        assert len(pods.orders) == tried
        assert retirement.is_retired(pod()) is None


async def test_closing_ends_what_is_under_way(clock: ManualClock) -> None:
    pods = Pods(PodUnreachable("no answer"))
    async with retirement_of(pods, clock=clock, changed=[]) as retirement:
        retirement.request(pod(), boot_id=BOOT, retires=True)
        await settle()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("retire")] == []


async def test_a_pod_is_told_by_a_post_with_the_operators_token() -> None:
    seen: list[Asked] = []

    def answer(request: Asked) -> web.Response:
        seen.append(request)
        return web.Response(status=204 if len(seen) == 1 else 500 if len(seen) == 2 else 404)

    async with client_of(answer, tokens=FixedTokens("secret")) as client:
        await client.retire(pod(), order=ORDER)
        assert (seen[0].method, seen[0].url) == ("POST", "http://10.0.0.1:8081/retire")
        assert seen[0].headers["Authorization"] == "Bearer secret"
        assert RetireOrder.from_json(seen[0].content) == ORDER
        with pytest.raises(PodUnreachable, match="500"):
            await client.retire(pod(), order=ORDER)
        with pytest.raises(RouteUnknown):
            await client.retire(pod(), order=ORDER)


def test_an_operator_without_a_token_for_the_pods_can_tell_none_and_waits_for_none() -> None:
    parts: Any = {item.name: None for item in dataclasses.fields(LiveFacts)}
    facts = LiveFacts(**parts)
    facts.request_retirement(pod(), boot_id=BOOT)
    assert facts.is_retired(pod())
