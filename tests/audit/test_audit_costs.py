"""What an audit that is not finished costs its pod, and a verdict that does not arrive."""

from dataclasses import replace
from typing import Any

from audited_pods import AuditedPods, answer_rightly, cases
from auditor_under_test import KEY, ORDER, auditor_of, pod, serving_pod, wrong_for
from manual_clock import ManualClock, settle

from embedding_model.goldens.questions import Answer
from embedding_operator.audit.budget import AUDIT_SHARE, CLOSED_AUDIT_SHARE
from embedding_operator.audit.client import NeverAsked, PodUnreachable
from embedding_operator.audit.pursuit import LOOK_SECONDS
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


async def test_a_pod_that_serves_and_fails_from_the_start_costs_no_more_than_one_that_passes(
    clock: ManualClock, told: list[Key]
) -> None:
    """As under failurePolicy Warn."""
    one = serving_pod(answer=wrong_for("mine"), before_answer=lambda: clock.sleep(10.0))
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(20 + 60 + 20)
        assert len(one.verdicts) == 2, "the first one was of a pod that may have been cold"
        await clock.advance(AUDIT_SHARE * 20 - 1)
        assert len(one.verdicts) == 2
        await clock.advance(1 + 20)
        assert [verdict.passed for verdict in one.verdicts] == [False] * 3


async def test_a_failed_audit_costs_no_more_than_one_that_passed(clock: ManualClock, told: list[Key]) -> None:
    """What else the pod does while it fails makes it late."""
    one = serving_pod(before_answer=lambda: clock.sleep(0.5))
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(1 + 60 + 1)
        one.answer, one.before_answer = wrong_for("mine"), lambda: clock.sleep(10.0)
        await clock.advance(AUDIT_SHARE * 1 + 20)
        assert [verdict.passed for verdict in one.verdicts] == [True, True, False]
        await clock.advance(AUDIT_SHARE * 1 + 20)
        assert len(one.verdicts) == 4


async def test_errors_that_come_at_once_do_not_make_an_audit_cheap(clock: ManualClock, told: list[Key]) -> None:
    one = serving_pod(answer=lambda question: Answer(error="answered with status 500"))
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        one.before_answer = lambda: clock.sleep(0.1)
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(3 * 60)
        assert [verdict.passed for verdict in one.verdicts] == [False] * 3
        one.answer, one.before_answer = answer_rightly, lambda: clock.sleep(10.0)
        await clock.advance(60 + 20)
        assert one.verdicts[-1].passed
        await clock.advance(AUDIT_SHARE * 20 - 60)
        assert len(one.verdicts) == 4


async def test_a_pod_that_has_closed_is_asked_again_soon_however_long_its_audits_take(
    clock: ManualClock, told: list[Key]
) -> None:
    """As under failurePolicy Block: nobody waits for it, and it is wanted back."""
    one = serving_pod(before_answer=lambda: clock.sleep(10.0))
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(20 + 60 + 20)
        one.answer = wrong_for("mine")
        await clock.advance(AUDIT_SHARE * 20 + 20)
        assert [verdict.passed for verdict in one.verdicts] == [True, True, False]
        await clock.advance(LOOK_SECONDS + 30)
        auditor.request_audit(pod(), order=ORDER)  # the kubelet has seen it
        await clock.advance(CLOSED_AUDIT_SHARE * 20 - LOOK_SECONDS - 30 - 1)
        assert len(one.verdicts) == 3
        await clock.advance(1 + 20)
        assert len(one.verdicts) == 4
        for _ in range(5):
            await clock.advance(CLOSED_AUDIT_SHARE * 20 + 20)
        one.answer = answer_rightly
        await clock.advance(CLOSED_AUDIT_SHARE * 20 + 20)
        assert [verdict.passed for verdict in one.verdicts[3:]] == [False] * 6 + [True]
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(AUDIT_SHARE * 20 - 1)
        assert len(one.verdicts) == 10, "it serves again"
        await clock.advance(1 + 20)
        assert len(one.verdicts) == 11


async def test_a_pod_that_goes_on_failing_anew_has_the_others_audited_at_once_and_within_their_share(
    clock: ManualClock, told: list[Key]
) -> None:
    good, stuck = serving_pod(before_answer=lambda: clock.sleep(2.0)), serving_pod()
    pods = AuditedPods(**{"10.0.0.1": good, "10.0.0.2": stuck})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(4 + 60 + 4 + 1)
        assert len(good.verdicts) == 2
        auditor.request_audit(pod("10.0.0.2"), order=ORDER)
        stuck.answer = lambda question: (
            wrong_for("held.")(question) if len(stuck.verdicts) % 2 == 0 else answer_rightly(question)
        )
        audits = len(good.verdicts)
        await clock.advance(4 + 60 + 60)
        assert len(good.verdicts) == audits + 1, "at once, before its own turn"
        await clock.advance(100 * 60)
        assert sum(not verdict.passed for verdict in stuck.verdicts) > 40
        allowed = (100 * 60 + 200) / (AUDIT_SHARE * 4)
        assert allowed - 2 < len(good.verdicts) - audits <= allowed + 1


async def test_what_fails_while_others_pay_for_an_early_audit_is_asked_of_them_as_soon_as_they_have(
    clock: ManualClock, told: list[Key]
) -> None:
    good, bad = serving_pod(before_answer=lambda: clock.sleep(2.0)), serving_pod()
    pods = AuditedPods(**{"10.0.0.1": good, "10.0.0.2": bad})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(is_ready=True), order=ORDER)
        await clock.advance(4 + 60 + 4)
        bad.answer = wrong_for("held.")
        for seconds, name in ((10, "held.1"), (100, "held.2")):
            auditor.request_audit(pod("10.0.0.2"), order=replace(ORDER, holdout=cases(name)))
            await clock.advance(seconds)
            assert len(good.verdicts) == 3
        good.asked.clear()
        await clock.advance(AUDIT_SHARE * 4 - 110 - 1)
        assert len(good.verdicts) == 3
        await clock.advance(1 + LOOK_SECONDS + 4)
        assert len(good.verdicts) == 4
        assert "the text of held.2" in good.asked


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


async def test_a_verdict_that_does_not_arrive_is_sent_again_before_its_audit_is_paid_for(
    clock: ManualClock, told: list[Key]
) -> None:
    one = serving_pod(before_answer=lambda: clock.sleep(2.0))
    pods = AuditedPods(**{"10.0.0.1": one})
    deliver = pods.deliver

    async def lose(ref: PodRef, **verdict: Any) -> None:
        raise PodUnreachable("no answer")

    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(4)
        pods.deliver = lose  # type: ignore[method-assign, assignment]
        await clock.advance(60 + 4 + 5)
        pods.deliver = deliver  # type: ignore[method-assign]
        await clock.advance(15)
        assert len(one.verdicts) == 2


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


async def test_a_pod_that_refuses_a_verdict_is_asked_again_before_that_is_paid_for_and_no_more_than_once(
    clock: ManualClock, told: list[Key]
) -> None:
    """It has failed since, or recovered, and waits for a verdict."""
    one = serving_pod(before_answer=lambda: clock.sleep(1.0))
    async with auditor_of(AuditedPods(**{"10.0.0.1": one}), clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        await clock.advance(2 + 60 + 2)
        assert (one.sheets, len(one.verdicts)) == (4, 2)

        def fail() -> None:
            one.epoch += 1

        one.on_sheet = fail
        await clock.advance(AUDIT_SHARE * 2.0 + 2 + 2 + 4)
        assert (one.sheets, len(one.verdicts)) == (8, 2), "asked twice within seconds"
        await clock.advance(AUDIT_SHARE * 2.0 - 10)
        assert one.sheets == 8
        one.on_sheet = lambda: None
        await clock.advance(AUDIT_SHARE * 2.0 + 10)
        assert len(one.verdicts) == 3
