"""The facts of a running operator: the resolver's, the tracker's, the auditor's and the key data, behind one seam."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, GoldensReport, JobReport, Progress
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.key_data import KeyData
from embedding_operator.audit.quarantine_log import QuarantineLog
from embedding_operator.audit.retirement import Retirement
from embedding_operator.document_log import DocumentLog
from embedding_operator.job_log import JobLog
from embedding_operator.observe.facts import (
    AuditOrder,
    AuditReport,
    Claim,
    Document,
    Head,
    Key,
    PodRef,
    QuarantineRecord,
    RefusedAnswer,
    Resolution,
    ResolutionRequest,
    RestorationRecord,
    UnmadeJob,
)
from embedding_operator.reconcile.restorations import RestorationLog
from embedding_operator.resolve.resolver import Resolver
from embedding_operator.resolve.tracker import Tracker

# Without a token for the pods no verdict will ever come, and wall one alone decides.
_NEVER_AUDITED: Final = AuditReport("", "", GateState.PENDING, results=(), at=datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True)
class LiveFacts:
    """Implements observe.facts.Facts. Without an auditor (no pod token) pods are never asked."""

    resolver: Resolver
    tracker: Tracker
    auditor: Auditor | None
    key_data: KeyData
    quarantine_log: QuarantineLog
    restoration_log: RestorationLog
    retirement: Retirement | None
    document_log: DocumentLog = field(default_factory=DocumentLog)
    refused_log: JobLog[RefusedAnswer] = field(default_factory=JobLog)
    unmade_log: JobLog[UnmadeJob] = field(default_factory=JobLog)

    def resolution(self, key: Key, *, request: ResolutionRequest) -> Resolution:
        return self.resolver.resolution(key, request=request)

    def head(self, key: Key, *, request: ResolutionRequest, at_once: bool) -> Head | None:
        return self.tracker.head(key, request=request, at_once=at_once)

    def progress(self, pod: PodRef) -> Progress | None:
        return self.auditor.progress(pod) if self.auditor else None

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        return self.auditor.goldens(pod) if self.auditor else None

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        return self.auditor.trials(pod) if self.auditor else {}

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        if self.auditor:
            self.auditor.request_trial(pod, case_set=case_set)

    def job_report(self, pod: PodRef) -> JobReport | None:
        return self.auditor.job_report(pod) if self.auditor else None

    def job_defect(self, pod: PodRef) -> str | None:
        return self.auditor.job_defect(pod) if self.auditor else None

    def refused_answers(self, key: Key) -> Mapping[str, RefusedAnswer]:
        return self.refused_log.read(key)

    def record_refused_answer(self, key: Key, *, question: str, answer: RefusedAnswer) -> None:
        self.refused_log.record(key, question=question, record=answer)

    def unmade_jobs(self, key: Key) -> Mapping[str, UnmadeJob]:
        return self.unmade_log.read(key)

    def note_unmade_job(self, key: Key, *, question: str, job: UnmadeJob | None) -> None:
        if job is None:
            self.unmade_log.forget(key, question=question)
        else:
            self.unmade_log.record(key, question=question, record=job)

    def audit(self, pod: PodRef) -> AuditReport | None:
        return self.auditor.audit(pod) if self.auditor else _NEVER_AUDITED

    def request_audit(self, pod: PodRef, *, order: AuditOrder) -> None:
        if self.auditor:
            self.auditor.request_audit(pod, order=order)

    def quarantine(self, key: Key) -> QuarantineRecord | None:
        return self.quarantine_log.read(key)

    def record_quarantine(self, key: Key, *, at: datetime) -> None:
        self.quarantine_log.record(key, at=at)

    def restoration(self, claim: Claim) -> RestorationRecord | None:
        return self.restoration_log.read(claim)

    def record_restoration(self, claim: Claim, *, record: RestorationRecord) -> None:
        self.restoration_log.record(claim, record=record)

    def is_retired(self, pod: PodRef) -> bool | None:
        return self.retirement.is_retired(pod) if self.retirement else True

    def request_retirement(self, pod: PodRef, *, boot_id: str | None, retires: bool = True) -> None:
        if self.retirement:
            self.retirement.request(pod, boot_id=boot_id, retires=retires)

    def unreachable(self, pod: PodRef) -> str | None:
        return self.auditor.unreachable(pod) if self.auditor else None

    def documents(self, key: Key) -> Mapping[str, Document]:
        return self.document_log.read(key)

    def note_documents(self, key: Key, *, documents: Mapping[str, Document]) -> None:
        self.document_log.note(key, documents=documents)

    def keys(self) -> Mapping[str, str] | None:
        return self.key_data.data
