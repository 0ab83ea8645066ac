"""Pods of a space are compared with two of them, of which what they answered is kept."""

from audited_pods import SERVING, SPACE, AuditedPod, AuditedPods, embed
from auditor_under_test import ORDER, auditor_of, failed_cases, pod, serving_pod
from manual_clock import ManualClock, settle

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, Question
from embedding_operator.audit.checks import TEXTS
from embedding_operator.observe.facts import AuditOrder, Key


def drift(question: Question) -> Answer:
    values = embed(question.text)
    return Answer(vector=encode_vector([values[1], values[0], *values[2:]]))


async def test_what_pods_answered_is_kept_of_two_of_a_space_and_small(clock: ManualClock, told: list[Key]) -> None:
    """With thousands of pods of long vectors it was hundreds of megabytes."""
    ips = [f"10.0.0.{number}" for number in range(1, 7)]
    pods = AuditedPods(**{ip: serving_pod() for ip in ips})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for _ in range(3):
            for ip in ips:
                auditor.goldens(pod(ip))
                auditor.request_audit(pod(ip), order=ORDER)
            await clock.advance(60)
        kept = [record.audit.fixed for record in auditor._pods_of(pod().key) if record.audit]
        assert len(kept) == len(ips)
        assert sorted(len(answers) for answers in kept) == [0, 0, 0, 0, len(TEXTS), len(TEXTS)]
        assert all(len(answer.halves) == 2 * len(embed("a text")) for answers in kept for answer in answers)


async def test_a_pod_that_others_were_compared_with_is_compared_itself(clock: ManualClock, told: list[Key]) -> None:
    order = AuditOrder(case_set=CaseSet(cases=()), holdout=CaseSet(cases=()), serving=SERVING, space=SPACE)
    ips = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    pods = AuditedPods(**{ip: AuditedPod() for ip in ips})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        for ip in ips:
            auditor.goldens(pod(ip))
            auditor.request_audit(pod(ip), order=order)
            await settle()
        pods.by_ip["10.0.0.1"].answer = drift
        await clock.advance(60)
        found = {ip: failed_cases(auditor.audit(pod(ip))) for ip in ips}
    assert found == {"10.0.0.1": ["check.replicas"], "10.0.0.2": [], "10.0.0.3": []}


async def test_replicas_are_compared_with_one_that_passed_on_the_same_hardware(
    clock: ManualClock, told: list[Key]
) -> None:
    order = AuditOrder(case_set=CaseSet(cases=()), holdout=CaseSet(cases=()), serving=SERVING, space=SPACE)
    good, bad, other = AuditedPod(), AuditedPod(answer=drift), AuditedPod(answer=drift, dtype="bfloat16")
    pods = AuditedPods(**{"10.0.0.1": good, "10.0.0.2": bad, "10.0.0.3": other})
    async with auditor_of(pods, clock=clock, told=told) as auditor:
        auditor.goldens(pod("10.0.0.1"))
        auditor.request_audit(pod("10.0.0.1"), order=order)
        await settle()
        for ip in ("10.0.0.2", "10.0.0.3"):
            auditor.request_audit(pod(ip), order=order)
        await settle()
        assert failed_cases(auditor.audit(pod("10.0.0.1"))) == []
        assert failed_cases(auditor.audit(pod("10.0.0.2"))) == ["check.replicas"]
        assert failed_cases(auditor.audit(pod("10.0.0.3"))) == []
        report = auditor.audit(pod("10.0.0.2"))
    assert report is not None
    [result] = [result for result in report.results if not result.passed]
    assert "pod-10.0.0.1" in result.detail
    assert result.threshold == "0.999"
