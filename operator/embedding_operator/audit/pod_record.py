"""What is known of one start of one pod's container, and which questions to it are being pursued."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, Progress, Verdict
from embedding_operator.audit.audit import Audit, list_failed
from embedding_operator.observe.facts import AuditOrder, AuditReport, PodRef


class Topic(StrEnum):
    """Kinds of questions, each with slots of its own. FIRST_AUDIT: a pod opens alone when it waits for too long, so
    its audit must not queue behind those of pods that serve."""

    GOLDENS = "goldens"
    TRIAL = "trial"
    RESULT = "result"
    PROGRESS = "progress"
    AUDIT = "audit"
    FIRST_AUDIT = "first audit"


class PodQuestions(Protocol):
    """The pod client, or one of a test. Every call raises PodUnreachable."""

    async def goldens(self, ip: str) -> GoldensReport: ...
    async def trial(self, ip: str, *, case_set: CaseSet) -> GoldensReport: ...
    async def job_report(self, ip: str) -> JobReport: ...
    async def progress(self, ip: str) -> Progress: ...
    async def answers(self, ip: str, *, sheet: QuestionSheet) -> AnswerSheet: ...
    async def deliver(self, ip: str, *, verdict: Verdict) -> None: ...


@dataclass
class Failure:
    """A question that got no answer: since when, why the last time, and whether the model was told."""

    since: float
    words: str
    is_told: bool = False


@dataclass
class PodRecord:
    """One start of one pod's container. `tasks` are the questions that are being pursued.

    `trial` answers the one case set that was asked for last, `wanted`; `trial_round` is the reconcile that did.
    `order` is what audits ask, `audit` what the last one found, `audit_report` its report. `lost` is an audit whose
    verdict the pod has no more, so that it is being audited again. `audit_cost`: see `weigh_audit`.
    `progress_round` is the last reconcile that asked how far its fetch is, `audit_round` the last that wanted audits.
    """

    ref: PodRef
    report: GoldensReport | None = None
    wanted: str | None = None
    trial: GoldensReport | None = None
    trial_round: int = 0
    order: AuditOrder | None = None
    audit: Audit | None = None
    lost: Audit | None = None
    audit_report: AuditReport | None = None
    audit_round: int = 0
    audit_cost: float | None = None
    audits_passed: int = 0
    progress_round: int = 0
    job_report: JobReport | None = None
    tasks: dict[Topic, asyncio.Task[None]] = field(default_factory=dict)
    failures: dict[Topic, Failure] = field(default_factory=dict)
    round: int = 0

    def weigh_audit(self, audit: Audit) -> float:
        """Seconds that an audit costs this pod, 0 until that is known: the least that one took that passed.

        Whatever else ran beside it made it longer, and the first one the start of the pod: neither is its cost.
        """
        if audit.report.state is GateState.PASSED:
            self.audits_passed += 1
            if self.audits_passed > 1:
                self.audit_cost = min(audit.seconds, self.audit_cost or audit.seconds)
        return self.audit_cost or 0.0

    @property
    def failed_cases(self) -> frozenset[str]:
        return list_failed(self.audit_report)

    @property
    def hardware(self) -> tuple[str, str] | None:
        """Device and dtype, on which the last digits of answers depend."""
        return (self.report.device, self.report.dtype) if self.report else None


def without_times(report: GoldensReport) -> object:
    """What counts in a report: digits of what passed, and when, differ from one check to the next."""
    failed = tuple(result.name for result in report.results if not result.passed)
    passed = len(report.results) - len(failed)
    return report.model_copy(update={"checked_at": None, "results": ()}), failed, passed


def is_same_order(a: AuditOrder | None, b: AuditOrder) -> bool:
    """Compared by the sets' names: their content may be some hundred KiB."""
    return a is not None and _identify(a) == _identify(b)


def _identify(order: AuditOrder) -> object:
    return order.case_set.name, order.holdout.name, order.serving, order.space, order.objection
