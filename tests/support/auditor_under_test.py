"""An auditor on a clock of the test's, over pods that compute, and what it is asked of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

from audited_pods import SERVING, SPACE, AuditedPod, AuditedPods, answer_rightly, cases, embed
from manual_clock import ManualClock

from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, Question
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.pod_record import PodQuestions
from embedding_operator.observe.facts import AuditOrder, AuditReport, Key, PodRef

KEY = Key("search", "a")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOLDENS = cases("reference.one", "mine")
HOLDOUT = cases(*(f"held.{number}" for number in range(20)))
ORDER = AuditOrder(case_set=GOLDENS, holdout=HOLDOUT, serving=SERVING, space=SPACE)


def pod(
    ip: str = "10.0.0.1", *, name: str | None = None, starts: int = 0, is_ready: bool = False, key: Key = KEY
) -> PodRef:
    """Named after its address, or by `name` where it has none yet."""
    place = name or ip
    return PodRef(key=key, name=f"pod-{place}", uid=f"uid-{place}", ip=ip, starts=starts, is_ready=is_ready)


def serving_pod(**fields: Any) -> AuditedPod:
    return AuditedPod(**{"mounted": GOLDENS, **fields})


@asynccontextmanager
async def auditor_of(
    pods: PodQuestions, *, clock: ManualClock, told: list[Key], seen: list[str] | None = None
) -> AsyncIterator[Auditor]:
    auditor = Auditor(
        pods,
        on_change=told.append,
        audit_seconds=60.0,
        clock=clock,
        now=lambda: NOW,
        jitter=lambda: 0.0,
        rng=Random(7),
        on_audit=lambda result, seconds: (seen if seen is not None else []).append(result),
    )
    try:
        yield auditor
    finally:
        await auditor.close()


@asynccontextmanager
async def auditor_of_one(one: AuditedPod, *, clock: ManualClock, told: list[Key]) -> AsyncIterator[Auditor]:
    """An auditor over this one pod, `pod()`, which it has been ordered to audit."""
    async with auditor_of(AuditedPods(**{pod().ip: one}), clock=clock, told=told) as auditor:
        auditor.request_audit(pod(), order=ORDER)
        yield auditor


def failed_cases(report: AuditReport | None) -> list[str]:
    assert report is not None
    return [result.name for result in report.results if not result.passed]


def wrong_for(*texts: str) -> Callable[[Question], Answer]:
    def answer(question: Question) -> Answer:
        if any(text in question.text for text in texts):
            return Answer(vector=encode_vector(embed("something else")))
        return answer_rightly(question)

    return answer
