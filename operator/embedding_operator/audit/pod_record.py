"""What is known of one start of one pod's container, and which questions to it are being pursued."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, Progress, Verdict
from embedding_operator.audit.audit import Audit, list_failed
from embedding_operator.audit.budget import AuditBudget
from embedding_operator.audit.kept_answers import KeptAnswer
from embedding_operator.observe.facts import AuditOrder, AuditReport, PodRef


class Topic(StrEnum):
    """Kinds of questions, each with slots of its own. FIRST_AUDIT: a pod opens alone when it waits for too long, so
    its audit must not queue behind those of pods that serve. CONTACT: no question, but that the operator is there."""

    GOLDENS = "goldens"
    TRIAL = "trial"
    RESULT = "result"
    PROGRESS = "progress"
    AUDIT = "audit"
    FIRST_AUDIT = "first audit"
    CONTACT = "contact"


class PodQuestions(Protocol):
    """The pod client, or one of a test. Every call raises PodUnreachable."""

    async def goldens(self, pod: PodRef) -> GoldensReport: ...
    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport: ...
    async def job_report(self, pod: PodRef) -> JobReport: ...
    async def progress(self, pod: PodRef) -> Progress: ...
    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet: ...
    async def contact(self, pod: PodRef) -> None: ...
    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None: ...


@dataclass
class Failure:
    """A question that got no answer: since when, why the last time, and whether the model was told."""

    since: float
    words: str
    is_told: bool = False


@dataclass(frozen=True)
class Delivery:
    """An audit whose verdict is still to be delivered, and since when, by the clock."""

    audit: Audit
    since: float


@dataclass(frozen=True)
class Voice:
    """What a pod answers to the checks' fixed texts, for others to be compared with; see peers.py. `is_trusted`: it
    passed when it was compared itself."""

    answers: Sequence[KeptAnswer]
    is_trusted: bool


@dataclass
class PodRecord:
    """One start of one pod's container. `tasks` are the questions that are being pursued, `asking`
    those of them that wait for an answer now.

    `was_ready`: when it was looked at last. `trial` answers the one case set that was asked for last, `wanted`;
    `trial_round` is the reconcile that did. `order` is what audits ask, `audit` what the last one found, `audit_report`
    its report. `lost` is an audit whose verdict the pod has no more, so that it is being audited again; `undelivered`
    is one whose verdict it has not got yet. `refused`: its last verdict, which was not of the pod's state any more.
    `contested`: what others failed newly since it answered any of that, by their uid. `job_defect`: why the last answer
    of a Job's pod was no report.
    `progress_round` is the last reconcile that asked how far its fetch is, `audit_round` the last that wanted audits.
    """

    ref: PodRef
    was_ready: bool = False
    report: GoldensReport | None = None
    wanted: str | None = None
    trial: GoldensReport | None = None
    trial_round: int = 0
    order: AuditOrder | None = None
    audit: Audit | None = None
    lost: Audit | None = None
    audit_report: AuditReport | None = None
    audit_round: int = 0
    undelivered: Delivery | None = None
    refused: bool = False
    voice: Voice | None = None
    awaited: str | None = None  # the space that the start before was audited for, and passed; see peers.py
    contested: dict[str, frozenset[str]] = field(default_factory=dict)
    budget: AuditBudget = field(default_factory=AuditBudget)
    progress_round: int = 0
    job_report: JobReport | None = None
    job_defect: str | None = None
    tasks: dict[Topic, asyncio.Task[None]] = field(default_factory=dict)
    asking: set[Topic] = field(default_factory=set)
    failures: dict[Topic, Failure] = field(default_factory=dict)
    round: int = 0

    @property
    def failed_cases(self) -> frozenset[str]:
        return list_failed(self.audit_report)

    @property
    def is_closed(self) -> bool:
        """Whether it serves nobody since its last audit failed."""
        return self.audit_report is not None and self.audit_report.state is GateState.FAILED and not self.ref.is_ready

    def rest(self, *, now: float) -> float:
        """Seconds until it may be audited again."""
        return self.budget.rest(now=now, is_closed=self.is_closed, in_advance=bool(self.contested) or self.refused)

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
