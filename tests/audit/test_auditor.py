"""Asking pods in the background: what is asked, how often, and when it stops."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import pytest
from manual_clock import ManualClock, settle

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState, Progress, Verdict
from embedding_operator.audit.auditor import (
    FAILED_TRIAL_SECONDS,
    PARALLEL,
    PARALLEL_IN_NAMESPACE,
    SILENT_SECONDS,
    Auditor,
)
from embedding_operator.audit.client import AnswerUnusable, PodUnreachable
from embedding_operator.observe.facts import Key, PodRef

Answer = TypeVar("Answer")
KEY, OTHER = Key("search", "a"), Key("search", "b")
CASES = CaseSet(cases=(SimilarityCase(name="weather", a="It rains.", b="It pours.", expected="0.7", tolerance="0.1"),))


def report(state: GateState = GateState.PASSED, *, case_set: str = "cs-1") -> GoldensReport:
    return GoldensReport(
        boot_id="b", case_set=case_set, state=state, space="sp1-0", revision="r", device="cpu", dtype="float32"
    )


def pod(name: str = "pod", *, key: Key = KEY, ip: str = "10.0.0.1", starts: int = 0) -> PodRef:
    return PodRef(key=key, name=name, uid=f"uid-{name}", ip=ip, starts=starts)


class Pods:
    """What pods answer, by address; an address without an answer cannot be reached."""

    def __init__(self) -> None:
        self.reports: dict[str, GoldensReport] = {}
        self.trials: dict[str, GoldensReport] = {}
        self.job_reports: dict[str, JobReport] = {}
        self.fetches: dict[str, Progress] = {}
        self.asked: Counter[str] = Counter()

    async def goldens(self, pod: PodRef) -> GoldensReport:
        return self._answer(self.reports, pod.ip, question=f"goldens {pod.ip}")

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        return self._answer(self.trials, pod.ip, question=f"trial {pod.ip}")

    async def job_report(self, pod: PodRef) -> JobReport:
        return self._answer(self.job_reports, pod.ip, question=f"result {pod.ip}")

    async def progress(self, pod: PodRef) -> Progress:
        return self._answer(self.fetches, pod.ip, question=f"progress {pod.ip}")

    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet:
        raise PodUnreachable("no answer")

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        raise PodUnreachable("no answer")

    def _answer(self, answers: Mapping[str, Answer], ip: str, *, question: str) -> Answer:
        self.asked[question] += 1
        if ip not in answers:
            raise PodUnreachable("no answer")
        return answers[ip]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pods() -> Pods:
    return Pods()


@asynccontextmanager
async def auditor_of(pods: Pods, *, clock: ManualClock, told: list[Key]) -> AsyncIterator[Auditor]:
    auditor = Auditor(pods, on_change=told.append, audit_seconds=60.0, clock=clock, jitter=lambda: 0.0)
    try:
        yield auditor
    finally:
        await auditor.close()


async def test_a_report_is_read_without_waiting_and_the_model_is_told_when_it_comes(
    clock: ManualClock, pods: Pods
) -> None:
    told: list[Key] = []
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        assert auditor.goldens(pod()) is None
        await settle()
        assert told == [KEY]
        assert auditor.goldens(pod()) == report()


async def test_a_pod_that_is_not_judged_yet_is_asked_every_second_and_a_judged_one_rarely(
    clock: ManualClock, pods: Pods
) -> None:
    pods.reports["10.0.0.1"] = report(GateState.PENDING)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod())
        await clock.advance(10)
        assert pods.asked["goldens 10.0.0.1"] == 11
        pods.reports["10.0.0.1"] = report()
        await clock.advance(1)
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(60)
        assert pods.asked["goldens 10.0.0.1"] - before == 4


async def test_the_same_answer_again_tells_nobody(clock: ManualClock, pods: Pods) -> None:
    told: list[Key] = []
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await clock.advance(120)
    assert told == [KEY]


async def test_an_unreachable_pod_is_asked_ever_more_rarely_and_keeps_its_last_report(
    clock: ManualClock, pods: Pods
) -> None:
    pods.reports["10.0.0.1"] = report()
    told: list[Key] = []
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod())
        await settle()
        del pods.reports["10.0.0.1"]
        await clock.advance(15)
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(150)
        assert pods.asked["goldens 10.0.0.1"] - before == 13  # after 1, 2, 4 and 8 s, then every 15 s
        assert auditor.goldens(pod()) == report()
    assert told == [KEY, KEY]  # of the report, and of the silence


async def test_an_answer_of_an_earlier_start_says_nothing_about_this_one(clock: ManualClock, pods: Pods) -> None:
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod())
        await settle()
        assert auditor.goldens(pod(starts=1)) is None


async def test_a_pod_without_an_address_is_asked_once_it_has_one(clock: ManualClock, pods: Pods) -> None:
    pods.reports["10.0.0.9"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.goldens(pod(ip=""))
        await clock.advance(10)
        assert not pods.asked
        auditor.goldens(pod(ip="10.0.0.9"))
        await settle()
        assert auditor.goldens(pod(ip="10.0.0.9")) == report()


async def test_a_pod_that_a_reconcile_no_longer_mentions_is_not_asked_any_more(clock: ManualClock, pods: Pods) -> None:
    pods.reports |= {"10.0.0.1": report(), "10.0.0.2": report()}
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.goldens(pod("old"))
            auditor.goldens(pod("new", ip="10.0.0.2"))
        await settle()
        with auditor.round_of(KEY):
            auditor.goldens(pod("new", ip="10.0.0.2"))
        before = pods.asked["goldens 10.0.0.1"]
        await clock.advance(60)
        assert pods.asked["goldens 10.0.0.1"] == before
        assert pods.asked["goldens 10.0.0.2"] > 3


async def test_a_reconcile_of_one_model_forgets_no_pod_of_another(clock: ManualClock, pods: Pods) -> None:
    pods.reports["10.0.0.2"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(OTHER):
            auditor.goldens(pod("theirs", key=OTHER, ip="10.0.0.2"))
        await settle()
        with auditor.round_of(KEY):
            pass
        assert auditor.goldens(pod("theirs", key=OTHER, ip="10.0.0.2")) == report()


async def test_a_reconcile_that_failed_forgets_nothing(clock: ManualClock, pods: Pods) -> None:
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await settle()
        with pytest.raises(RuntimeError), auditor.round_of(KEY):
            raise RuntimeError("the API server is away")
        assert auditor.goldens(pod()) == report()


async def test_a_trial_that_passed_is_asked_once_and_kept_by_the_name_of_its_case_set(
    clock: ManualClock, pods: Pods
) -> None:
    told: list[Key] = []
    answer = report(case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        auditor.request_trial(pod(), case_set=CASES)
        await settle()
        assert auditor.trials(pod()) == {}
        pods.trials["10.0.0.1"] = answer
        await clock.advance(5)
        auditor.request_trial(pod(), case_set=CASES)
        await clock.advance(FAILED_TRIAL_SECONDS * 2)
        assert auditor.trials(pod()) == {CASES.name: answer}
    assert told == [KEY]
    assert pods.asked["trial 10.0.0.1"] == 2


async def test_a_trial_that_failed_is_asked_again_and_heals(clock: ManualClock, pods: Pods) -> None:
    told: list[Key] = []
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        await clock.advance(FAILED_TRIAL_SECONDS - 1)
        assert pods.asked["trial 10.0.0.1"] == 1
        pods.trials["10.0.0.1"] = report(case_set=CASES.name)
        await clock.advance(2)
        assert auditor.trials(pod())[CASES.name].state is GateState.PASSED
    assert told == [KEY, KEY]


async def test_a_trial_that_no_reconcile_requests_any_more_is_asked_no_more_and_keeps_its_answer(
    clock: ManualClock, pods: Pods
) -> None:
    answer = pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.request_trial(pod(), case_set=CASES)
        await settle()
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await clock.advance(FAILED_TRIAL_SECONDS * 3)
        assert pods.asked["trial 10.0.0.1"] == 1
        assert auditor.trials(pod()) == {CASES.name: answer}


async def test_only_the_case_set_that_is_wanted_now_is_tried_and_kept(clock: ManualClock, pods: Pods) -> None:
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    corrected = CaseSet(cases=(CASES.cases[0].model_copy(update={"name": "corrected"}),))
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        await settle()
        pods.trials["10.0.0.1"] = report(case_set=corrected.name)
        auditor.request_trial(pod(), case_set=corrected)
        await clock.advance(FAILED_TRIAL_SECONDS * 2)
        assert list(auditor.trials(pod())) == [corrected.name]
        assert pods.asked["trial 10.0.0.1"] == 2


async def test_a_trial_of_a_process_that_is_gone_does_not_count(clock: ManualClock, pods: Pods) -> None:
    pods.trials["10.0.0.1"] = report(GateState.FAILED, case_set=CASES.name)
    pods.reports["10.0.0.1"] = report()
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        auditor.request_trial(pod(), case_set=CASES)
        auditor.goldens(pod())
        await settle()
        assert auditor.trials(pod())
        pods.reports["10.0.0.1"] = report().model_copy(update={"boot_id": "another"})
        await clock.advance(15)
        assert auditor.trials(pod()) == {}


async def test_a_running_pod_that_stays_silent_is_told_of_once_with_the_reason(clock: ManualClock, pods: Pods) -> None:
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


async def test_a_pod_whose_container_does_not_run_yet_is_not_called_silent(clock: ManualClock, pods: Pods) -> None:
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


class SlowPods(Pods):
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
    slow = [pod(f"slow-{number}", key=theirs, ip=f"10.6.6.{number}") for number in range(PARALLEL * 2)]
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


async def test_a_jobs_pod_is_asked_until_its_report_is_final(clock: ManualClock, pods: Pods) -> None:
    told: list[Key] = []
    pods.job_reports["10.0.0.1"] = JobReport(state=JobState.RUNNING)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.job_report(pod())
        await clock.advance(5)
        done = JobReport(state=JobState.REFUSED)
        pods.job_reports["10.0.0.1"] = done
        await clock.advance(1)
        asked = pods.asked["result 10.0.0.1"]
        assert auditor.job_report(pod()) == done
        await clock.advance(60)
        assert pods.asked["result 10.0.0.1"] == asked
    assert told == [KEY, KEY]


def fetched(count: int) -> Progress:
    return Progress(files=2, files_done=0, bytes=1000, bytes_done=count)


async def test_progress_is_shown_every_ten_seconds_at_most_however_many_pods_fetch(
    clock: ManualClock, pods: Pods
) -> None:
    told: list[float] = []
    refs = [pod(f"pod-{number}", ip=f"10.0.0.{number}") for number in range(1, 6)]
    auditor = Auditor(
        pods,
        on_change=lambda key: told.append(clock.monotonic()),
        audit_seconds=60.0,
        clock=clock,
        jitter=lambda: 0.0,
    )
    for second in range(100):
        for ref in refs:
            pods.fetches[ref.ip] = fetched(second)
        with auditor.round_of(KEY):
            for ref in refs[: 1 + second]:  # they start one after the other
                auditor.progress(ref)
        await clock.advance(1)
    await auditor.close()
    assert min(later - before for before, later in pairwise(told)) >= 10
    assert len(told) >= 9
    assert sum(pods.asked.values()) <= 5 * 11


async def test_progress_is_not_asked_of_a_pod_that_has_fetched_everything(clock: ManualClock, pods: Pods) -> None:
    pods.fetches["10.0.0.1"] = fetched(1)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.progress(pod())
        await clock.advance(5)
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await clock.advance(60)
    assert pods.asked["progress 10.0.0.1"] == 1


async def test_the_progress_of_a_job_is_held_back_and_its_result_is_not(clock: ManualClock, pods: Pods) -> None:
    told: list[Key] = []
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for second in range(25):
            pods.job_reports["10.0.0.1"] = JobReport(state=JobState.RUNNING, progress=fetched(second))
            with auditor.round_of(KEY):
                auditor.job_report(pod())
            await clock.advance(1)
        assert len(told) == 3
        with auditor.round_of(KEY):
            shown = auditor.job_report(pod())
        assert shown is not None
        assert shown.progress is not None
        pods.job_reports["10.0.0.1"] = JobReport(state=JobState.DONE)
        await clock.advance(1)
        assert len(told) == 4
        with auditor.round_of(KEY):
            assert auditor.job_report(pod()) == JobReport(state=JobState.DONE)


async def test_a_pod_that_fetches_and_cannot_be_asked_is_no_trouble(clock: ManualClock, pods: Pods) -> None:
    """Its main container does not run yet, so nobody expects an answer."""
    told: list[Key] = []
    waiting = replace(pod(), is_running=False)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        with auditor.round_of(KEY):
            assert auditor.progress(waiting) is None
        await clock.advance(SILENT_SECONDS * 3)
        with auditor.round_of(KEY):
            assert auditor.unreachable(waiting) is None
    assert told == []


async def test_a_job_that_answers_what_is_no_report_is_told_at_once_until_it_answers_one(
    clock: ManualClock, pods: Pods
) -> None:
    told: list[Key] = []
    answer = pods.job_report

    async def answer_garbage(*_: object) -> JobReport:
        raise AnswerUnusable("the answer to GET /result is no JobReport")

    pods.job_report = answer_garbage  # type: ignore[method-assign]
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        assert auditor.job_report(pod()) is None
        await settle()
        assert auditor.job_defect(pod()) == "the answer to GET /result is no JobReport"
        assert told == [KEY]
        pods.job_report, pods.job_reports["10.0.0.1"] = answer, JobReport(state=JobState.RUNNING)  # type: ignore[method-assign]
        await clock.advance(2)
        assert auditor.job_defect(pod()) is None
