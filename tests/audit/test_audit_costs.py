"""What an audit that is not finished costs its pod, and a verdict that does not arrive."""

from dataclasses import replace
from typing import Any

from audited_pods import AuditedPods, cases
from auditor_under_test import KEY, ORDER, auditor_of, pod, serving_pod
from manual_clock import ManualClock, settle

from embedding_operator.audit.budget import AUDIT_SHARE
from embedding_operator.audit.client import NeverAsked, PodUnreachable
from embedding_operator.observe.facts import Key, PodRef


def hang(pods: AuditedPods, *, clock: ManualClock, seconds: float, error: PodUnreachable) -> list[float]:
    """No answer comes any more, after so long; when the pod was asked."""
    asked: list[float] = []

    async def answer_never(ref: PodRef, **sheet: Any) -> Any:
        asked.append(clock.monotonic())
        await clock.sleep(seconds)
        raise error

    pods.answers = answer_never  # type: ignore[method-assign]
    return asked


async def test_audits_that_run_out_of_time_take_no_more_of_a_pod_and_are_told(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = AuditedPods(**{"10.0.0.1": serving_pod()})
    asked = hang(pods, clock=clock, seconds=60.0, error=PodUnreachable("no answer in time"))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(2 * 60.0 + 2)
        assert len(asked) == 2, "the first one was of a pod that may have been cold"
        assert auditor.unreachable(pod()) == "no answer in time"
        assert told == [KEY]
        await clock.advance(AUDIT_SHARE * 60.0 - 3)
        assert len(asked) == 2
        await clock.advance(4)
        assert len(asked) == 3


async def test_an_audit_that_runs_out_of_time_costs_no_more_than_one_that_was_finished(
    clock: ManualClock, told: list[Key]
) -> None:
    """What else the pod did made it late, and wrong answers must not go unseen for hours."""
    one = serving_pod()
    pods = AuditedPods(**{"10.0.0.1": one})
    answers = pods.answers

    async def answer_slowly(ref: PodRef, **sheet: Any) -> Any:
        await clock.sleep(1.0)
        return await answers(ref, **sheet)

    pods.answers = answer_slowly  # type: ignore[method-assign]
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(2.0 + 60.0 + 2.0)
        assert len(one.verdicts) == 2
        asked = hang(pods, clock=clock, seconds=60.0, error=PodUnreachable("no answer in time"))
        await clock.advance(AUDIT_SHARE * 2.0 + 60.0)
        assert len(asked) == 1
        pods.answers = answer_slowly  # type: ignore[method-assign]
        await clock.advance(AUDIT_SHARE * 2.0 + 2.0)
        assert len(one.verdicts) == 3


async def test_a_pod_that_no_question_reaches_is_tried_often(clock: ManualClock, told: list[Key]) -> None:
    pods = AuditedPods(**{"10.0.0.1": serving_pod()})
    asked = hang(pods, clock=clock, seconds=3.0, error=NeverAsked("no way to it"))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(600)
    assert len(asked) > 600 / (3 + 15) - 1


async def test_an_audit_that_another_order_cancels_is_paid_for(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod()
    pods = AuditedPods(**{"10.0.0.1": one})
    answers = pods.answers
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await settle()
        asked = hang(pods, clock=clock, seconds=60.0, error=PodUnreachable("no answer in time"))
        await clock.advance(60.0 + 10.0)
        assert len(asked) == 1
        pods.answers = answers  # type: ignore[method-assign]
        auditor.request_audit(pod(), order=replace(ORDER, holdout=cases("held.x")))
        await settle()
        assert len(one.verdicts) == 2, "another order is carried out at once"
        await clock.advance(AUDIT_SHARE * 10.0 - 2)
        assert len(one.verdicts) == 2
        await clock.advance(4)
        assert len(one.verdicts) == 3


async def test_a_verdict_that_does_not_arrive_is_sent_again_without_asking_the_pod_again(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod()
    pods = AuditedPods(**{"10.0.0.1": one})
    deliver = pods.deliver

    async def lose(ref: PodRef, **verdict: Any) -> None:
        raise PodUnreachable("no answer")

    pods.deliver = lose  # type: ignore[method-assign, assignment]
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(30)
        sheets = one.sheets
        pods.deliver = deliver  # type: ignore[method-assign]
        await clock.advance(15)
        assert (len(one.verdicts), one.sheets) == (1, sheets)
        pods.deliver = lose  # type: ignore[method-assign, assignment]
        await clock.advance(60 + 75)
        assert one.sheets > 2 * sheets, "what is older than the interval is asked anew"
