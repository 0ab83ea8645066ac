"""What Jobs report, and how far pods have fetched: asked until it is final, and not told of more often than is read."""

from dataclasses import replace
from itertools import pairwise

from auditor_under_test import KEY, auditor_of, pod
from canned_pods import CannedPods
from manual_clock import ManualClock, settle

from embedding_model.ports import JobReport, JobState, Progress
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.client import AnswerUnusable
from embedding_operator.audit.pursuit import SILENT_SECONDS
from embedding_operator.observe.facts import Key


async def test_a_jobs_pod_is_asked_until_its_report_is_final(clock: ManualClock, pods: CannedPods) -> None:
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
    clock: ManualClock, pods: CannedPods
) -> None:
    told: list[float] = []
    refs = [pod(f"10.0.0.{number}") for number in range(1, 6)]
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


async def test_progress_is_not_asked_of_a_pod_that_has_fetched_everything(clock: ManualClock, pods: CannedPods) -> None:
    pods.fetches["10.0.0.1"] = fetched(1)
    async with auditor_of(pods, clock=clock, told=[]) as auditor:
        with auditor.round_of(KEY):
            auditor.progress(pod())
        await clock.advance(5)
        with auditor.round_of(KEY):
            auditor.goldens(pod())
        await clock.advance(60)
    assert pods.asked["progress 10.0.0.1"] == 1


async def test_the_progress_of_a_job_is_held_back_and_its_result_is_not(clock: ManualClock, pods: CannedPods) -> None:
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


async def test_a_pod_that_fetches_and_cannot_be_asked_is_no_trouble(clock: ManualClock, pods: CannedPods) -> None:
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
    clock: ManualClock, pods: CannedPods
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
