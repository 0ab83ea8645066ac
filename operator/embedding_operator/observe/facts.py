"""Facts that no Kubernetes object holds: what a source resolved to and what pods answered on their private port.

`Facts` is the seam. `resolve/` and `audit/` implement it over the hub and the pods, `MemoryFacts` in memory for
scenario tests. Reading a fact never waits: it returns what is known now, starts asking when nothing is, and the asker
puts `key` back on the work queue when the answer changes. "Could not reach" is not an answer.

    Resolution = Resolved | Refused | Retrying | InProgress
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Protocol

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState, GoldensReport, JobReport, Progress
from embedding_model.refusal import RefusalDocument
from embedding_model.resolved import Declared, Inspection, Manifest, Origin, Serving
from embedding_operator.api.names import hash10
from embedding_operator.api.source_spec import ConversionPolicy


@dataclass(frozen=True, order=True)
class Key:
    """Identity of an EmbeddingModel: what the work queue holds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class ResolutionRequest:
    """What the user asks to resolve.

    `origin` as asked for; with a revision where the commit is known already and only has to be read again, because the
    spec now declares something else, or because what was found got lost. `requested_at` is the value of the annotation
    requestedAt: another value is another request.
    """

    origin: Origin
    requested_at: str | None = None
    declared: Declared = field(default_factory=Declared)
    conversion: ConversionPolicy = ConversionPolicy.NEVER

    @property
    def token(self) -> str:
        """Names what the user asks, in annotations: SOURCE[+TERMS][@REQUESTED_AT]."""
        asked = f"{self.source}{self.terms}"
        return f"{asked}@{self.requested_at}" if self.requested_at else asked

    @property
    def question(self) -> str:
        """Names what has to be found out: the token, and the commit where it is known."""
        return f"{self.token}#{self.origin.revision}" if self.origin.revision else self.token

    @property
    def source(self) -> str:
        return self.origin.request_key()

    @property
    def terms(self) -> str:
        """What else decides how the source is read; empty at its defaults."""
        terms = {**self.declared.to_dict(), "conversion": self.conversion.value}
        return "" if self == self.without_terms() else f"+{hash10(terms)}"

    def without_terms(self) -> "ResolutionRequest":
        return replace(self, declared=Declared(), conversion=ConversionPolicy.NEVER)

    def at(self, commit: str | None) -> "ResolutionRequest":
        """The same, of this commit."""
        return replace(self, origin=self.origin.model_copy(update={"revision": commit}))


@dataclass(frozen=True)
class Resolved:
    """`origin` with its revision pinned."""

    origin: Origin
    manifest: Manifest
    inspection: Inspection


@dataclass(frozen=True)
class Refused:
    """The source answered, and the model cannot be served as asked. Asked again only slowly."""

    refusal: RefusalDocument


@dataclass(frozen=True)
class Retrying:
    """The source could not be asked; it is asked again with backoff. `message` must not change between attempts."""

    message: str
    since: datetime
    attempts: int


@dataclass(frozen=True)
class InProgress:
    """Being asked now, for the first time."""


Resolution = Resolved | Refused | Retrying | InProgress


@dataclass(frozen=True)
class Head:
    """Where a tracked branch stands: at `commit`, or why that cannot be said (`refusal`).

    `seen_at`: when the branch was first seen there. `requested_at` is the annotation that this answers.
    """

    commit: str | None
    seen_at: datetime
    refusal: RefusalDocument | None = None
    requested_at: str | None = None


@dataclass(frozen=True)
class PodRef:
    """One start of one pod's container: an answer of an earlier start says nothing about this one.

    `ip` is empty until the pod has one. `starts` is the restart count of the main container, `is_running` whether it
    runs: one that does not cannot be expected to answer. `is_ready`: the kubelet says so. `takes_shared_token`: an
    older version rendered it, whose runtime knows no audience of a namespace.
    """

    key: Key
    name: str
    uid: str
    ip: str
    starts: int
    is_running: bool = True
    is_ready: bool = False
    takes_shared_token: bool = False


@dataclass(frozen=True)
class AuditOrder:
    """What a pod is asked in an audit: every case of `case_set`, which it has mounted, a random part of `holdout`,
    which it does not know, and the built-in checks of what is served. It has to serve `space`.

    `objection`: why the verdict must be a bad one, whatever the pod answers; empty when there is no such cause.
    """

    case_set: CaseSet
    holdout: CaseSet
    serving: Serving
    space: str
    objection: str = ""


@dataclass(frozen=True)
class AuditReport:
    """The last audit of one process. `case_set` names the mounted set (`CaseSet.name`).

    `results` are the operator's own, of every case asked, with value and words where it failed; built-in checks have
    the kind "check". `state` is Pending of a server that is too old to be asked: wall one alone decides, and there are
    no results.
    """

    boot_id: str
    case_set: str
    state: GateState
    results: tuple[CaseResult, ...]
    at: datetime


# A deletion that is longer ago says nothing about the present.
QUARANTINE_MEMORY_SECONDS: Final = 2 * 3600.0


@dataclass(frozen=True)
class QuarantineRecord:
    """Pods of a model that were deleted because they failed their audits: how many in a row, the last one `at`."""

    at: datetime
    count: int


def count_quarantine(before: QuarantineRecord | None, *, at: datetime) -> QuarantineRecord:
    """The record after one more deletion; one that is long past does not count any more."""
    is_recent = before is not None and (at - before.at).total_seconds() < QUARANTINE_MEMORY_SECONDS
    return QuarantineRecord(at=at, count=before.count + 1 if before is not None and is_recent else 1)


@dataclass(frozen=True)
class RefusedAnswer:
    """An answer of a Job that is not used, in words, and when that was found (`at`). The Job is deleted for it: its pod
    would hold a device. `job` is its name, which a Job that is made of something else does not have. `model` is the
    uid of the EmbeddingModel: a namesake made since has asked nothing yet."""

    model: str
    job: str
    words: str
    at: datetime


# One that is still asked for is offered at least this often, the pauses between reconciles included.
UNMADE_MEMORY_SECONDS: Final = 900.0


@dataclass(frozen=True)
class UnmadeJob:
    """A Job that the API server does not take: `reason` (api.reasons.Reason) and `words` say why, since when and when
    last. `is_denied`: only a change elsewhere can help, and nobody knows when. `model`: as of a RefusedAnswer."""

    model: str
    reason: str
    words: str
    is_denied: bool
    since: datetime
    at: datetime


@dataclass(frozen=True)
class Claim:
    """A field of a child that a manager updates: `child` is the object's uid, `field` its path."""

    child: str
    manager: str
    field: str


@dataclass(frozen=True)
class RestorationRecord:
    """How often in a row a field was taken back from who claims it, the last time `at`. `asked` is what the user asked
    for then: another wish begins anew."""

    at: datetime
    count: int
    asked: str


Document = Mapping[str, Any]
"""A ConfigMap as the API server gave it."""


class Facts(Protocol):
    """What the reconciler may ask. No call waits, none raises."""

    def resolution(self, key: Key, *, request: ResolutionRequest) -> Resolution:
        """State of this request (only of a hub that the operator may ask); starts it when it is new."""

    def head(self, key: Key, *, request: ResolutionRequest, at_once: bool) -> Head | None:
        """Where the branch of `request` stands; None until it was asked. `at_once`: the user asked for it anew."""

    def progress(self, pod: PodRef) -> Progress | None:
        """How far the pod's fetch is; changes at most every ten seconds for all pods of a model together."""

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        """The pod's last report on the case set that it has mounted; None when it has not answered yet."""

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        """The answers to trials asked with `request_trial`, by the name of the case set."""

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        """Ask the pod these cases, without effect on its readiness; does nothing when asked already.

        A trial that failed is asked again from time to time, as long as every reconcile requests it.
        """

    def job_report(self, pod: PodRef) -> JobReport | None:
        """What the pod of a Job has to say; None when it has not answered yet. Progress moves as in `progress`."""

    def job_defect(self, pod: PodRef) -> str | None:
        """Why the last answer of a Job's pod is no report, in words; None when it is, or when there was none."""

    def refused_answers(self, key: Key) -> Mapping[str, RefusedAnswer]:
        """Answers of this model's Jobs that are not used, lately, by the question that the Job was asked."""

    def record_refused_answer(self, key: Key, *, question: str, answer: RefusedAnswer) -> None:
        """One is being thrown away now."""

    def unmade_jobs(self, key: Key) -> Mapping[str, UnmadeJob]:
        """Jobs of this model that the API server does not take, lately, by the question that they are to be asked."""

    def note_unmade_job(self, key: Key, *, question: str, job: UnmadeJob | None) -> None:
        """One was refused just now, or was taken at last (None)."""

    def audit(self, pod: PodRef) -> AuditReport | None:
        """What wall two last found of this start of the pod; None until it has been asked."""

    def request_audit(self, pod: PodRef, *, order: AuditOrder) -> None:
        """Have the pod asked, judged, and told the verdict; again on an interval, as long as every reconcile requests
        it. Another order is carried out at once."""

    def quarantine(self, key: Key) -> QuarantineRecord | None:
        """The pods of this model that were deleted because they failed; None when none was, or when it was long ago."""

    def record_quarantine(self, key: Key, *, at: datetime) -> None:
        """One is being deleted now."""

    def restoration(self, claim: Claim) -> RestorationRecord | None:
        """When the field was last taken back; None when it never was, or long ago."""

    def record_restoration(self, claim: Claim, *, record: RestorationRecord) -> None:
        """It has just been."""

    def is_retired(self, pod: PodRef) -> bool | None:
        """Whether the pod was told last to end its connections (`request_retirement`), or cannot be told; None where
        this operator told it nothing."""

    def request_retirement(self, pod: PodRef, *, boot_id: str | None, retires: bool = True) -> None:
        """Tell this process to say `Connection: close` on every response from now on, or no more. Without a `boot_id`
        nobody can be told yet."""

    def unreachable(self, pod: PodRef) -> str | None:
        """Why a running pod has not answered for half a minute, in words; None when it answers."""

    def documents(self, key: Key) -> Mapping[str, Document]:
        """What was last noted with `note_documents`, by name; empty after a restart."""

    def note_documents(self, key: Key, *, documents: Mapping[str, Document]) -> None:
        """Hold ConfigMaps that pods mount and that nothing could render anew if a hand deleted them."""

    def keys(self) -> Mapping[str, str] | None:
        """Data of the ConfigMap `<name>-keys` (see embedding_model.ports); None until it could be read."""


@dataclass
class MemoryFacts:
    """Facts that a test sets. Trials asked for are kept in `trials_requested`."""

    resolutions: dict[str, Resolution] = field(default_factory=dict)  # by ResolutionRequest.question
    reports: dict[str, GoldensReport] = field(default_factory=dict)  # by pod uid
    trial_reports: dict[tuple[str, str], GoldensReport] = field(default_factory=dict)  # by pod uid and case set
    heads: dict[str, Head] = field(default_factory=dict)  # by ResolutionRequest.source
    fetches: dict[str, Progress] = field(default_factory=dict)  # by pod uid
    job_reports: dict[str, JobReport] = field(default_factory=dict)  # by pod uid
    job_defects: dict[str, str] = field(default_factory=dict)  # by pod uid
    refused: dict[tuple[Key, str], RefusedAnswer] = field(default_factory=dict)  # by model and question
    unmade: dict[tuple[Key, str], UnmadeJob] = field(default_factory=dict)  # by model and question
    audits: dict[str, AuditReport] = field(default_factory=dict)  # by pod uid
    quarantines: dict[Key, QuarantineRecord] = field(default_factory=dict)
    restorations: dict[Claim, RestorationRecord] = field(default_factory=dict)
    retired_pods: set[str] = field(default_factory=set)  # by pod uid
    unreachable_pods: dict[str, str] = field(default_factory=dict)  # by pod uid
    noted_documents: dict[Key, Mapping[str, Document]] = field(default_factory=dict)
    key_data: Mapping[str, str] | None = None
    resolutions_requested: list[ResolutionRequest] = field(default_factory=list)
    heads_requested: list[ResolutionRequest] = field(default_factory=list)  # at once
    trials_requested: dict[tuple[str, str], CaseSet] = field(default_factory=dict)
    audits_requested: dict[str, AuditOrder] = field(default_factory=dict)  # by pod uid
    retirements_requested: set[str] = field(default_factory=set)  # by pod uid
    recalls_requested: set[str] = field(default_factory=set)  # by pod uid

    def resolution(self, key: Key, *, request: ResolutionRequest) -> Resolution:
        self.resolutions_requested.append(request)
        return self.resolutions.get(request.question, InProgress())

    def head(self, key: Key, *, request: ResolutionRequest, at_once: bool) -> Head | None:
        if at_once:
            self.heads_requested.append(request)
        return self.heads.get(request.source)

    def progress(self, pod: PodRef) -> Progress | None:
        return self.fetches.get(pod.uid)

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        return self.reports.get(pod.uid)

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        return {case_set: report for (uid, case_set), report in self.trial_reports.items() if uid == pod.uid}

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        self.trials_requested[pod.uid, case_set.name] = case_set

    def job_report(self, pod: PodRef) -> JobReport | None:
        return self.job_reports.get(pod.uid)

    def job_defect(self, pod: PodRef) -> str | None:
        return self.job_defects.get(pod.uid)

    def refused_answers(self, key: Key) -> Mapping[str, RefusedAnswer]:
        return {question: answer for (model, question), answer in self.refused.items() if model == key}

    def record_refused_answer(self, key: Key, *, question: str, answer: RefusedAnswer) -> None:
        self.refused[key, question] = answer

    def unmade_jobs(self, key: Key) -> Mapping[str, UnmadeJob]:
        return {question: job for (model, question), job in self.unmade.items() if model == key}

    def note_unmade_job(self, key: Key, *, question: str, job: UnmadeJob | None) -> None:
        self.unmade.pop((key, question), None)
        if job is not None:
            self.unmade[key, question] = job

    def audit(self, pod: PodRef) -> AuditReport | None:
        return self.audits.get(pod.uid)

    def request_audit(self, pod: PodRef, *, order: AuditOrder) -> None:
        self.audits_requested[pod.uid] = order

    def quarantine(self, key: Key) -> QuarantineRecord | None:
        return self.quarantines.get(key)

    def record_quarantine(self, key: Key, *, at: datetime) -> None:
        self.quarantines[key] = count_quarantine(self.quarantines.get(key), at=at)

    def restoration(self, claim: Claim) -> RestorationRecord | None:
        return self.restorations.get(claim)

    def record_restoration(self, claim: Claim, *, record: RestorationRecord) -> None:
        self.restorations[claim] = record

    def is_retired(self, pod: PodRef) -> bool | None:
        return True if pod.uid in self.retired_pods else None

    def request_retirement(self, pod: PodRef, *, boot_id: str | None, retires: bool = True) -> None:
        if retires:
            self.retirements_requested.add(pod.uid)
            return
        self.recalls_requested.add(pod.uid)
        for told in (self.retirements_requested, self.retired_pods):
            told.discard(pod.uid)

    def unreachable(self, pod: PodRef) -> str | None:
        return self.unreachable_pods.get(pod.uid)

    def documents(self, key: Key) -> Mapping[str, Document]:
        return self.noted_documents.get(key, {})

    def note_documents(self, key: Key, *, documents: Mapping[str, Document]) -> None:
        self.noted_documents[key] = documents

    def keys(self) -> Mapping[str, str] | None:
        return self.key_data
