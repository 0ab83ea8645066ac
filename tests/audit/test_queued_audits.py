"""Pods whose audit waits for its turn: none opens by itself for that while an operator is there."""

from collections.abc import Sequence
from typing import Any

from audited_pods import AuditedPod, AuditedPods
from auditor_under_test import ORDER, auditor_of, pod, serving_pod, wrong_for
from manual_clock import ManualClock, settle

from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import Verdict
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.client import PodUnreachable
from embedding_operator.audit.contacts import LONGEST_SECONDS
from embedding_operator.audit.lanes import PARALLEL_AUDITS_IN_NAMESPACE
from embedding_operator.children.pod_template import AUDIT_GRACE_SECONDS
from embedding_operator.observe.facts import Key, PodRef
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.settings import FailurePolicy

IPS = [f"10.2.0.{number}" for number in range(1, 41)]
SLOW = 3 * AUDIT_GRACE_SECONDS  # seconds for a sheet of questions, of which an audit has at least two
assert len(IPS) > 2 * PARALLEL_AUDITS_IN_NAMESPACE


class GatedPods(AuditedPods):
    """Each opens as a pod of the runtime does; all have passed their own checks."""

    def __init__(self, pods: dict[str, AuditedPod], *, clock: ManualClock) -> None:
        super().__init__(**pods)
        self.gates = {
            ip: Lifecycle(
                failure_policy=FailurePolicy.BLOCK,
                audit_grace_seconds=AUDIT_GRACE_SECONDS,
                clock=clock.monotonic,
                phase=Phase.LOADED,
            )
            for ip in pods
        }
        for gate in self.gates.values():
            gate.record_check((), at="2031-04-05T06:07:08Z")

    @property
    def open(self) -> Sequence[str]:
        return [ip for ip, gate in self.gates.items() if gate.ready]

    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet:
        with self.gates[pod.ip].audited():
            return await super().answers(pod, sheet=sheet)

    async def contact(self, pod: PodRef) -> None:
        await super().contact(pod)
        with self.gates[pod.ip].audited():
            pass

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        await super().deliver(pod, verdict=verdict)
        self.gates[pod.ip].record_verdict(passed=verdict.passed, reason=verdict.reason)


def pods_of(clock: ManualClock, **fields: Any) -> GatedPods:
    return GatedPods(
        {ip: serving_pod(before_answer=lambda: clock.sleep(SLOW), **fields) for ip in IPS},
        clock=clock,
    )


def audit_all(auditor: Auditor, *, is_ready: bool = False) -> None:
    for ip in IPS:
        auditor.request_audit(pod(ip, is_ready=is_ready), order=ORDER)


async def test_no_pod_opens_by_itself_while_the_first_audits_of_others_go_before_its_own(
    clock: ManualClock, told: list[Key]
) -> None:
    """Each is right only on its own golden cases."""
    pods = pods_of(clock, answer=wrong_for("held"))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        audit_all(auditor)
        for _ in range(10 * SLOW):
            await clock.advance(1)
            assert pods.open == []
    assert {verdict.passed for ip in IPS for verdict in pods.by_ip[ip].verdicts} == {False}
    assert all(pods.by_ip[ip].verdicts for ip in IPS)


async def test_a_first_audit_goes_on_while_other_pods_of_its_model_fail(clock: ManualClock, told: list[Key]) -> None:
    slow, *others = IPS[:3]
    pods = pods_of(clock)
    for ip in others:
        pods.by_ip[ip] = serving_pod(answer=wrong_for("held"))
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.request_audit(pod(slow), order=ORDER)
        for ip in others:
            await clock.advance(1)
            auditor.request_audit(pod(ip), order=ORDER)
        await clock.advance(2 * SLOW)
    assert all(pods.by_ip[ip].verdicts for ip in others)
    assert len(pods.by_ip[slow].verdicts) == 1


async def test_pods_whose_audit_waits_open_once_the_operator_is_gone(clock: ManualClock, told: list[Key]) -> None:
    pods = pods_of(clock)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        audit_all(auditor)
        await clock.advance(SLOW - 1)
    await clock.advance(AUDIT_GRACE_SECONDS)
    assert pods.open == IPS
    assert not any(pods.by_ip[ip].verdicts for ip in IPS)


async def test_a_pod_whose_audits_fail_by_themselves_opens_although_it_waits_for_each(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = pods_of(clock)

    async def break_down() -> None:
        await clock.sleep(SLOW)
        raise PodUnreachable("503")

    for ip in IPS:
        pods.by_ip[ip].before_answer = break_down
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        audit_all(auditor)
        await clock.advance(2 * SLOW * -(-len(IPS) // PARALLEL_AUDITS_IN_NAMESPACE) + 3 * AUDIT_GRACE_SECONDS)
        assert pods.open == IPS


async def test_a_pod_that_serves_is_asked_nothing_more_while_its_audit_waits(
    clock: ManualClock, told: list[Key]
) -> None:
    """As under an operator that has just begun to lead."""
    pods = pods_of(clock)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        audit_all(auditor, is_ready=True)
        await clock.advance(SLOW)
    assert not any(call.startswith("contact") for call in pods.calls)


async def test_pods_that_answer_nothing_keep_no_other_from_hearing_of_the_operator(
    clock: ManualClock, told: list[Key]
) -> None:
    pods = pods_of(clock)
    silent = [f"10.3.0.{number}" for number in range(1, 101)]

    async def hang(ref: PodRef) -> None:
        await clock.sleep(3)
        raise PodUnreachable("no answer")

    answer = pods.contact

    async def contact(ref: PodRef) -> None:
        await (answer(ref) if ref.ip in pods.by_ip else hang(ref))

    pods.contact = contact  # type: ignore[method-assign]
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for ip in IPS[:PARALLEL_AUDITS_IN_NAMESPACE]:
            auditor.request_audit(pod(ip), order=ORDER)
        await settle()
        for ip in silent:
            auditor.request_audit(pod(ip), order=ORDER)
        await settle()
        audit_all(auditor)
        for _ in range(SLOW):
            await clock.advance(1)
            assert pods.open == []


async def test_a_pod_whose_turn_does_not_come_for_minutes_opens_as_without_an_operator(
    clock: ManualClock, told: list[Key]
) -> None:
    """Nobody's pods stay shut for as long as others answer nothing."""
    pods = pods_of(clock)
    for one in pods.by_ip.values():
        one.before_answer = lambda: clock.sleep(1000)
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        audit_all(auditor)
        await clock.advance(LONGEST_SECONDS - 1)
        assert pods.open == []
        await clock.advance(AUDIT_GRACE_SECONDS + 5)
        assert pods.open == IPS[PARALLEL_AUDITS_IN_NAMESPACE:]


async def test_namespaces_whose_pods_answer_nothing_keep_no_other_waiting(clock: ManualClock, told: list[Key]) -> None:
    pods = AuditedPods(**{"10.9.0.1": serving_pod()})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for team in range(8):
            for number in range(PARALLEL_AUDITS_IN_NAMESPACE):
                ip = f"10.4.{team}.{number}"
                pods.by_ip[ip] = serving_pod(before_answer=lambda: clock.sleep(1000))
                auditor.request_audit(pod(ip, key=Key(f"team-{team}", "a")), order=ORDER)
        await settle()
        auditor.request_audit(pod("10.9.0.1"), order=ORDER)
        await clock.advance(1)
        assert len(pods.by_ip["10.9.0.1"].verdicts) == 1
