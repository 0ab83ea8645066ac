"""Are there golden cases of the reference implementation for the space that is asked for?

    spec.verification.reference   known of the space                 is said                             pods
    Off                           -                                  nothing                             as without
    Auto                          a stored set                       nothing                             mount it
    Auto                          nothing yet                        Waiting ComputingReference          are held
    Auto                          the Job's pod cannot start         Waiting, its trouble                are held
    Auto                          the same, for half an hour         Stalled ReferenceUnavailable        are held; under
                                                                                                         Warn go without
    Auto                          no Job is taken, for half an hour  Stalled ReferenceUnavailable        the same
    Auto                          refused, or failed every attempt   Stalled ReferenceUnavailable        are held; under
                                                                                                         Warn go without
    Auto                          answered what cannot be used       the same                            the same
    Auto                          the same, and tried again now      as nothing yet; under Warn as       are held; under
                                                                     said before                         Warn go without

A set is computed once for a space: a stored one answers for as long as a generation of the space is kept, whatever
image would compute it today.

A Job whose pod cannot start, be it for want of a node, for a quota or for its image, stays: it answers once it can.
One that the API server does not take, for a quota of Jobs or a policy, is offered to it again every minute.

A Job whose answer cannot be used is deleted at once: its pod would go on serving it, and hold a device. The operator
remembers it in memory; another leader tries once more.
"""

from dataclasses import dataclass, replace
from typing import Final

from embedding_model.ports import ReferenceSet
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.api.conditions import UNTAKEN
from embedding_operator.api.reasons import Reason
from embedding_operator.api.spec import EmbeddingModelSpec, FailurePolicy
from embedding_operator.api.status import Condition
from embedding_operator.api.verification_spec import ReferencePolicy
from embedding_operator.judge.case_set import MAX_DATA_BYTES
from embedding_operator.judge.gate import Gate
from embedding_operator.judge.observed_job import (
    PODLESS_SECONDS,
    ObservedJob,
    find_jobs,
    find_missing_claim,
    find_podless,
    find_unmade,
)
from embedding_operator.judge.pod_trouble import find_mount_overdue, find_trouble
from embedding_operator.judge.progress import describe_progress
from embedding_operator.judge.silence import describe_silence
from embedding_operator.judge.verdict import REFUSED_SECONDS, State, Verdict, stalled, waiting
from embedding_operator.observe.facts import RefusedAnswer
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.observe.stored_reference import Reference, is_computed

# It was tried as often as a Job tries, and takes a device each time: only a change elsewhere can help.
UNAVAILABLE_SECONDS: Final = 1800.0
# A node that an autoscaler adds and an image of some GB are there within it; pods are held back meanwhile.
START_SECONDS: Final = 1800.0
ENDED_SECONDS: Final = 60.0  # a Job that was told to end, by a drain for example, is made again after so long
_REFUSED: Final = (*UNTAKEN, Reason.REFERENCE_UNAVAILABLE)
FIELD: Final = "verification.reference"  # of a refusal that says itself how to go on
WAY_ON: Final = 'Set spec.verification.reference to "Off" to go on with golden cases of your own, or with none'
OWN_PODS: Final = (
    "Pods of this model have what it needs, perhaps: with spec.replicas 0 until it is computed it has their place"
)


@dataclass(frozen=True)
class ReferenceWish:
    """A Job must compute the set. `expired` names one that has had its time and is made again, `kept` one that computes
    or has answered: it stays, even where it would be rendered differently today. `refused` is the name of one that was
    deleted for its answer, and is not made again yet."""

    question: str
    expired: str | None = None
    kept: str | None = None
    refused: str | None = None


@dataclass(frozen=True)
class ReferenceJudgement:
    """`reference`: the set, with the thresholds of the spec. `verdict`: why there is none, though one is asked for.

    `job`: a Job that must compute it, or whose answer is not stored yet; `computed` is that answer, with the thresholds
    that it came with: lower ones of the spec must not become the set's own. `refused` is an answer that is thrown away
    now, with its Job. `is_untaken`: the API server did not take the Job, and is asked again.
    """

    reference: Reference | None = None
    computed: Reference | None = None
    verdict: Verdict | None = None
    job: ReferenceWish | None = None
    refused: RefusedAnswer | None = None
    is_untaken: bool = False

    @property
    def is_unavailable(self) -> bool:
        return self.verdict is not None and self.verdict.state is State.STALLED

    @property
    def is_computing(self) -> bool:
        return self.verdict is not None and not self.is_unavailable

    def hold(self, *, policy: FailurePolicy) -> Gate | None:
        """The gate that keeps new pods from being made; None when they may be."""
        if self.verdict is None or (self.is_unavailable and policy is FailurePolicy.WARN):
            return None
        return Gate(verdict=self.verdict, adopted=False)

    def mark(self, gate: Gate) -> Gate:
        """The gate of pods that serve without a set that is asked for: what they answer counts as unverified."""
        if self.verdict is None or gate.verdict.state is State.STALLED:
            return gate
        return replace(gate, verdict=self.verdict, blocks=False)


def judge_reference(
    snapshot: Snapshot,
    *,
    spec: EmbeddingModelSpec,
    resolved: ResolvedModel,
    has_slot: bool,
    can_ask: bool = True,
    before: Condition | None = None,
) -> ReferenceJudgement:
    """`has_slot`: whether a pod that needs what a serving pod needs may be made now; a Job that was refused is offered
    again without that: what serves goes only once it is taken. `can_ask`: whether a Job may be made at all. `before`:
    the condition Verified, when it speaks of this generation, also of what another operator was told."""
    if spec.verification.reference is ReferencePolicy.OFF:
        return ReferenceJudgement()
    threshold = spec.verification.min_cosine_similarity
    stored = next((item for item in snapshot.references if item.space == resolved.space), None)
    if stored is not None:
        return ReferenceJudgement(reference=stored.with_threshold(threshold))
    question = _name_question(snapshot, space=resolved.space)
    has_job = any(not job.end for job in find_jobs(snapshot, question=question))
    was_refused = question in snapshot.unmade_jobs or (before is not None and before.reason in _REFUSED)
    if not can_ask or not (has_slot or has_job or was_refused):
        message = "golden cases are computed with the reference implementation once the pods before have gone"
        return ReferenceJudgement(verdict=waiting(Reason.COMPUTING_REFERENCE, message))
    judged = _ask_job(snapshot, space=resolved.space, question=question)
    judged = replace(judged, is_untaken=judged.is_untaken or not (has_slot or has_job))
    if judged.is_computing and spec.verification.failure_policy is FailurePolicy.WARN:
        return _repeat_unavailable(snapshot, judged=judged, before=before)
    if judged.reference is None:
        return judged
    return replace(judged, reference=judged.reference.with_threshold(threshold), computed=judged.reference)


def _repeat_unavailable(
    snapshot: Snapshot, *, judged: ReferenceJudgement, before: Condition | None
) -> ReferenceJudgement:
    """`judged`, or what the status says of this very request, until a Job that tries again has answered, or one that a
    restarted operator has not heard yet. What serves without the set would not be Ready meanwhile, which may be for
    ever: the Job may wait for the very device that it serves on."""
    requested_at = (snapshot.model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT)
    is_same = requested_at == snapshot.before.last_handled_request
    if judged.verdict is None or before is None or before.reason != Reason.REFERENCE_UNAVAILABLE or not is_same:
        return judged
    again = judged.verdict.recheck_seconds
    return replace(judged, verdict=stalled(Reason.REFERENCE_UNAVAILABLE, before.message, recheck_seconds=again))


def _name_question(snapshot: Snapshot, *, space: str) -> str:
    requested_at = (snapshot.model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT)
    return f"reference/{space}@{requested_at}" if requested_at else f"reference/{space}"


def _ask_job(snapshot: Snapshot, *, space: str, question: str) -> ReferenceJudgement:
    jobs = find_jobs(snapshot, question=question)
    job = max(jobs, key=lambda item: (bool(item.report and item.report.reference), *item.age), default=None)
    wish = ReferenceWish(question)
    if job is None:
        said = _repeat_refused(snapshot, wish=wish)
        said = said or _judge_unmade(snapshot, wish=wish)
        return said or ReferenceJudgement(verdict=find_missing_claim(snapshot, job=None) or _describe_work(), job=wish)
    if job.report and job.report.reference is not None:
        problem = _find_problem(job.report.reference, space=space)
        if problem is None:
            reference = Reference.from_document(job.report.reference)
            return ReferenceJudgement(reference=reference, job=ReferenceWish(question, kept=job.name))
        return _refuse(snapshot, job=job, wish=wish, words=f"Job {job.name} answered {problem}")
    if job.pod and job.pod.job_defect and not job.end:
        return _refuse(snapshot, job=job, wish=wish, words=f"Job {job.name}: {job.pod.job_defect}")
    if job.refusal is not None:
        is_advised = job.refusal.field == FIELD
        words = f"{job.refusal.reason}: {job.refusal.message}"
        return _give_up(snapshot, job=job, wish=wish, words=words, advice="" if is_advised else WAY_ON)
    if job.end:
        return _judge_ended(snapshot, job=job, wish=wish)
    return _judge_running(snapshot, job=job, wish=wish)


def _find_problem(found: ReferenceSet, *, space: str) -> str | None:
    """Why an answer is not used: the pod that gives it may be anybody's image."""
    reference = Reference.from_document(found)
    if reference.space != space:
        return f"for the space {reference.space}, not {space}"
    if not reference.goldens.cases or not reference.holdout.cases:
        return "a set of which one half is empty"
    if not all(is_computed(case) for case in reference.goldens.cases):
        return "golden cases under names that are the user's"
    named = [case.name for half in (reference.goldens, reference.holdout) for case in half.cases]
    if len(set(named)) < len(named):
        return "golden cases of which two have the same name"
    largest = max(len(half.to_jsonl()) for half in (reference.goldens, reference.holdout))
    if largest > MAX_DATA_BYTES:
        return f"a set of {largest // 1024} KiB, and at most {MAX_DATA_BYTES // 1024} KiB fit into a ConfigMap"
    return None


def _judge_ended(snapshot: Snapshot, *, job: ObservedJob, wish: ReferenceWish) -> ReferenceJudgement:
    if job.end.get("type") == "Complete":
        left = job.seconds_left(now=snapshot.now, of=ENDED_SECONDS)
        verdict = replace(_describe_work(), recheck_seconds=max(left, 1.0))
        return ReferenceJudgement(verdict=verdict, job=replace(wish, expired=job.name if left <= 0 else None))
    trouble = find_trouble(job.pod.object) if job.pod else None
    words = trouble.message if trouble else f"Job {job.name}: {job.end.get('message') or 'it failed without a word'}"
    return _give_up(snapshot, job=job, wish=wish, words=words)


def _refuse(snapshot: Snapshot, *, job: ObservedJob, wish: ReferenceWish, words: str) -> ReferenceJudgement:
    """The Job goes, and with it the pod; what it answered is remembered, for as long as another one is not made."""
    refused = RefusedAnswer(model=snapshot.uid, job=job.name, words=words, at=snapshot.now)
    verdict = stalled(Reason.REFERENCE_UNAVAILABLE, _describe(words), recheck_seconds=UNAVAILABLE_SECONDS)
    return ReferenceJudgement(verdict=verdict, job=replace(wish, expired=job.name), refused=refused)


def _repeat_refused(snapshot: Snapshot, *, wish: ReferenceWish) -> ReferenceJudgement | None:
    refused = snapshot.refused_answers.get(wish.question)
    if refused is None:
        return None
    left = UNAVAILABLE_SECONDS - (snapshot.now - refused.at).total_seconds()
    if left <= 0:
        return None
    verdict = stalled(Reason.REFERENCE_UNAVAILABLE, _describe(refused.words), recheck_seconds=max(left, 1.0))
    return ReferenceJudgement(verdict=verdict, job=replace(wish, refused=refused.job))


def _judge_unmade(snapshot: Snapshot, *, wish: ReferenceWish) -> ReferenceJudgement | None:
    """One that is refused as an object has the time of one whose pod is."""
    unmade, verdict = snapshot.unmade_jobs.get(wish.question), find_unmade(snapshot, question=wish.question)
    if unmade is None or verdict is None:
        return None
    left = START_SECONDS - (snapshot.now - unmade.since).total_seconds()
    if left <= 0 or unmade.is_denied:
        verdict = stalled(Reason.REFERENCE_UNAVAILABLE, _describe(unmade.words), recheck_seconds=REFUSED_SECONDS)
    return ReferenceJudgement(verdict=verdict, job=wish, is_untaken=True)


def _describe(words: str, *, advice: str = WAY_ON) -> str:
    said = f"golden cases cannot be computed with the reference implementation: {words}".rstrip(". ")
    return f"{said}. {advice}" if advice else said


def _give_up(
    snapshot: Snapshot, *, job: ObservedJob, wish: ReferenceWish, words: str, advice: str = WAY_ON
) -> ReferenceJudgement:
    """The Job stays as the record of when that was, unless what it is made of changes."""
    left = job.seconds_left(now=snapshot.now, of=UNAVAILABLE_SECONDS)
    message = _describe(words, advice=advice)
    verdict = stalled(Reason.REFERENCE_UNAVAILABLE, message, recheck_seconds=max(left, 1.0))
    return ReferenceJudgement(verdict=verdict, job=replace(wish, expired=job.name if left <= 0 else None))


def _judge_running(snapshot: Snapshot, *, job: ObservedJob, wish: ReferenceWish) -> ReferenceJudgement:
    trouble = find_missing_claim(snapshot, job=job)
    if job.pod is None:
        trouble = trouble or find_podless(job, now=snapshot.now)
        overdue: float | None = max(job.seconds_left(now=snapshot.now, of=PODLESS_SECONDS), 1.0)
    else:
        trouble = trouble or find_trouble(job.pod.object, now=snapshot.now)
        overdue = find_mount_overdue(job.pod.object, now=snapshot.now)
    said = trouble or replace(_describe_work(job), recheck_seconds=overdue)
    if job.is_working:
        return ReferenceJudgement(verdict=said, job=replace(wish, kept=job.name))
    left = job.start_seconds_left(now=snapshot.now, of=START_SECONDS)
    if left <= 0:
        return ReferenceJudgement(verdict=_describe_unstarted(snapshot, job=job, trouble=trouble), job=wish)
    seconds = min(said.recheck_seconds or left, left)
    return ReferenceJudgement(verdict=replace(said, recheck_seconds=max(seconds, 1.0)), job=wish)


def _describe_unstarted(snapshot: Snapshot, *, job: ObservedJob, trouble: Verdict | None) -> Verdict:
    """That its pod has had its time to start; asked again as often as what keeps it from that."""
    cause = trouble or waiting(Reason.POD_FAILED, f"the pod of Job {job.name} has not started for half an hour")
    has_no_place = cause.reason in (Reason.INSUFFICIENT_CAPACITY, Reason.UNSCHEDULABLE)
    advice = f"{OWN_PODS}. {WAY_ON}" if has_no_place and _has_servers(snapshot) else WAY_ON
    message = _describe(cause.message, advice=advice)
    return stalled(Reason.REFERENCE_UNAVAILABLE, message, recheck_seconds=cause.recheck_seconds)


def _has_servers(snapshot: Snapshot) -> bool:
    """Whether pods of the model, of whichever space, run on a node."""
    labels = (pod.object["metadata"].get("labels") or {} for pod in snapshot.pods if pod.ref.ip)
    return any(item.get(names.LABEL_COMPONENT) == names.COMPONENT_SERVER for item in labels)


def _describe_work(job: ObservedJob | None = None) -> Verdict:
    pods = [job.pod] if job and job.pod else []
    told = [pod.progress or (pod.job_report.progress if pod.job_report else None) for pod in pods]
    more = f"{describe_progress(told)}{describe_silence(pods)}"
    message = f"a Job computes golden cases with the reference implementation, once for this vector space{more}"
    return waiting(Reason.COMPUTING_REFERENCE, message)
