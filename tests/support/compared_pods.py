"""Pods that are audited without golden cases: all that can tell which of them is wrong is what the others answer."""

from collections.abc import Callable

from audited_pods import SERVING, SPACE, AuditedPod, AuditedPods, answer_rightly, embed
from auditor_under_test import failed_cases, pod
from manual_clock import settle

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, Question
from embedding_operator.audit.auditor import Auditor
from embedding_operator.observe.facts import AuditOrder, PodRef

WITHOUT_CASES = AuditOrder(case_set=CaseSet(cases=()), holdout=CaseSet(cases=()), serving=SERVING, space=SPACE)
A, B, C, D, E = (f"10.0.0.{number}" for number in range(1, 6))


def turn(places: int) -> Callable[[Question], Answer]:
    def answer(question: Question) -> Answer:
        values = embed(question.text)
        return Answer(vector=encode_vector([*values[places:], *values[:places]]))

    return answer


drift = turn(1)


def serve(*right: str, wrong: tuple[str, ...] = ()) -> AuditedPods:
    return AuditedPods(**{ip: AuditedPod(answer=drift if ip in wrong else answer_rightly) for ip in (*right, *wrong)})


async def order(auditor: Auditor, *ips: str) -> None:
    """Have them audited, one after the other."""
    for ip in ips:
        auditor.goldens(pod(ip))
        auditor.request_audit(pod(ip), order=WITHOUT_CASES)
        await settle()


def failures(auditor: Auditor, *ips: str) -> dict[str, list[str]]:
    found = {ip: failed_cases(auditor.audit(pod(ip))) for ip in ips}
    return {ip: failed for ip, failed in found.items() if failed}


def is_said_to_agree(auditor: Auditor, ip: str) -> bool:
    """Whether the quarantine may delete others on its word."""
    report = auditor.audit(pod(ip))
    assert report is not None
    return any(result.name == "check.replicas" and result.passed for result in report.results)


async def begin_round(auditor: Auditor, *refs: PodRef) -> None:
    """As a reconcile does: all pods at once, and no others."""
    with auditor.round_of(pod().key):
        for ref in refs:
            auditor.goldens(ref)
            auditor.request_audit(ref, order=WITHOUT_CASES)
    await settle()
