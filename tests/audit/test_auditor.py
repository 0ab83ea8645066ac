"""Asking pods in the background for what they report: how often, and when it stops."""

import asyncio
from dataclasses import replace

import pytest
from auditor_under_test import KEY, auditor_of, pod
from canned_pods import CASES, CannedPods, report
from manual_clock import ManualClock, settle

from embedding_model.ports import GateState, GoldensReport
from embedding_operator.audit.auditor import REFRESH_SECONDS
from embedding_operator.audit.lanes import PARALLEL, PARALLEL_IN_NAMESPACE
from embedding_operator.audit.pursuit import SILENT_SECONDS
from embedding_operator.observe.facts import Key, PodRef

OTHER = Key("search", "b")


async def test_a_report_is_read_without_waiting_and_the_model_is_told_when_it_comes(
    clock: ManualClock, pods: CannedPods
) -> None:
    told: list[Key] = []
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        assert auditor.goldens(pod()) is None
        await settle()
        assert told == [KEY]
        assert auditor.goldens(pod()) == report()


async def test_a_pod_that_is_not_judged_yet_is_asked_every_second_and_a_judged_one_rarely(
    clock: ManualClock, pods: CannedPods
) -> None:
    pods.reports["10.0.0.1"] = report(GateState.PENDING)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod())
        await clock.advance(10)
        assert pods.asked["goldens 10.0.0.1"] == 11
        pods.reports["10.0.0.1"] = report()
        await clock.advance(1)
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(4 * REFRESH_SECONDS)
        assert pods.asked["goldens 10.0.0.1"] - before == 4


async def test_a_pod_that_is_ready_no_more_is_asked_why_at_once_and_one_that_becomes_ready_is_not(
    clock: ManualClock, pods: CannedPods
) -> None:
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod())
        await settle()
        auditor.goldens(pod(is_ready=True))
        await settle()
        assert pods.asked["goldens 10.0.0.1"] == 1
        pods.reports["10.0.0.1"] = report(GateState.FAILED)
        auditor.goldens(pod())
        await settle()
        assert pods.asked["goldens 10.0.0.1"] == 2
        assert auditor.goldens(pod()) == report(GateState.FAILED)
        await settle()
        assert pods.asked["goldens 10.0.0.1"] == 2


async def test_the_same_answer_again_tells_nobody(clock: ManualClock, pods: CannedPods) -> None:
    told: list[Key] = []
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await clock.advance(120)
    assert told == [KEY]


async def test_an_unreachable_pod_is_asked_ever_more_rarely_and_keeps_its_last_report(
    clock: ManualClock, pods: CannedPods
) -> None:
    pods.reports["10.0.0.1"] = report()
    told: list[Key] = []
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await settle()
        del pods.reports["10.0.0.1"]
        await clock.advance(REFRESH_SECONDS)
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(150)
        assert pods.asked["goldens 10.0.0.1"] - before == 13  # after 1, 2, 4 and 8 s, then every 15 s
        assert auditor.goldens(pod()) == report()
    assert told == [KEY, KEY]  # of the report, and of the silence


async def test_an_answer_of_an_earlier_start_says_nothing_about_this_one(clock: ManualClock, pods: CannedPods) -> None:
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod())
        await settle()
        assert auditor.goldens(pod(starts=1)) is None


async def test_a_pod_without_an_address_is_asked_once_it_has_one(clock: ManualClock, pods: CannedPods) -> None:
    pods.reports["10.0.0.9"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod("", name="late"))
        await clock.advance(10)
        assert not pods.asked
        auditor.goldens(pod("10.0.0.9", name="late"))
        await settle()
        assert auditor.goldens(pod("10.0.0.9", name="late")) == report()


async def test_a_pod_that_a_reconcile_no_longer_mentions_is_not_asked_any_more(
    clock: ManualClock, pods: CannedPods
) -> None:
    pods.reports |= {"10.0.0.1": report(), "10.0.0.2": report()}
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.goldens(pod())
            auditor.goldens(pod("10.0.0.2"))
        await settle()
        with auditor.round_of(KEY):
            auditor.goldens(pod("10.0.0.2"))
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(60)
        assert pods.asked["goldens 10.0.0.1"] == before
        assert pods.asked["goldens 10.0.0.2"] > 1


async def test_a_reconcile_of_one_model_forgets_no_pod_of_another(clock: ManualClock, pods: CannedPods) -> None:
    pods.reports["10.0.0.2"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(OTHER):
            auditor.goldens(pod("10.0.0.2", key=OTHER))
        await settle()
        with auditor.round_of(KEY):
            pass
        assert auditor.goldens(pod("10.0.0.2", key=OTHER)) == report()


async def test_a_reconcile_that_failed_forgets_nothing(clock: ManualClock, pods: CannedPods) -> None:
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await settle()
        with pytest.raises(RuntimeError), auditor.round_of(KEY):
            raise RuntimeError("the API server is away")
        assert auditor.goldens(pod()) == report()


async def test_a_running_pod_that_stays_silent_is_told_of_once_with_the_reason(
    clock: ManualClock, pods: CannedPods
) -> None:
    told: list[Key] = []
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await clock.advance(SILENT_SECONDS - 1)
        assert auditor.unreachable(pod()) is None
        assert told == []
        await clock.advance(120)
        assert auditor.unreachable(pod()) == "no answer"
        assert told == [KEY]
        pods.reports["10.0.0.1"] = report()
        await clock.advance(15)
        assert auditor.unreachable(pod()) is None


async def test_a_silent_pod_that_is_ready_no_more_stays_told_of(clock: ManualClock, pods: CannedPods) -> None:
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod(is_ready=True))
        await clock.advance(SILENT_SECONDS + 15)
        before = pods.asked["goldens 10.0.0.1"]
        auditor.goldens(pod())
        await settle()
        assert pods.asked["goldens 10.0.0.1"] == before + 1
        assert auditor.unreachable(pod()) == "no answer"


async def test_a_pod_that_is_being_asked_while_its_readiness_comes_and_goes_is_asked_to_the_end(
    clock: ManualClock, pods: CannedPods
) -> None:
    class Slow(CannedPods):
        async def goldens(self, pod: PodRef) -> GoldensReport:
            answer = await super().goldens(pod)
            await clock.sleep(5)
            return answer

    slow = Slow()
    slow.reports["10.0.0.1"] = report()
    async with auditor_of(slow, clock=clock, told=[]) as auditor:
        for is_ready in (True, False, True):
            auditor.goldens(pod(is_ready=is_ready))
            await clock.advance(2)
        assert auditor.goldens(pod(is_ready=True)) == report()
    assert slow.asked["goldens 10.0.0.1"] == 1


async def test_a_pod_whose_container_does_not_run_yet_is_not_called_silent(
    clock: ManualClock, pods: CannedPods
) -> None:
    told: list[Key] = []
    starting = replace(pod(), is_running=False)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(starting)
        await clock.advance(600)
        assert told == []
        auditor.goldens(pod())
        await clock.advance(SILENT_SECONDS - 1)
        assert auditor.unreachable(pod()) is None
        await clock.advance(31)
        assert auditor.unreachable(pod()) == "no answer"


class SlowPods(CannedPods):
    """Pods of the addresses 10.6.6.x take a connection and never answer."""

    async def goldens(self, pod: PodRef) -> GoldensReport:
        if pod.ip.startswith("10.6.6."):
            self.asked[f"goldens {pod.ip}"] += 1
            await asyncio.get_running_loop().create_future()
        return await super().goldens(pod)


async def test_pods_that_never_answer_hold_up_neither_other_namespaces_nor_other_questions(clock: ManualClock) -> None:
    pods, theirs = SlowPods(), Key("elsewhere", "slow")
    pods.reports["10.0.0.1"] = report()
    pods.trials["10.6.6.0"] = report(case_set=CASES.name)
    slow = [pod(f"10.6.6.{number}", key=theirs) for number in range(PARALLEL * 2)]
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        for each in slow:
            auditor.goldens(each)
        await settle()
        assert sum(pods.asked.values()) == PARALLEL_IN_NAMESPACE
        auditor.goldens(pod())
        auditor.request_trial(slow[0], case_set=CASES)
        await settle()
        assert auditor.goldens(pod()) == report()
        assert CASES.name in auditor.trials(slow[0])
