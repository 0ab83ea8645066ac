"""Is the model resolved, and what is served of it?

stored in one of our ConfigMaps     taken from there, whatever the hub says today
hub                                 the resolver's answer
volume                              the answer of an inspection Job's pod
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from embedding_model.refusal import Refusal, RefusalDocument
from embedding_model.resolved import Evidence, Pooling, Prompt, ResolvedModel, SourceKind
from embedding_model.serving import Overrides, apply_overrides
from embedding_model.space import fingerprint
from embedding_operator.api import names
from embedding_operator.api.embedding_spec import EmbeddingSpec, Normalization, PoolingMode
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.judge.generations import find_condition
from embedding_operator.judge.pod_trouble import find_trouble, read_refusal
from embedding_operator.judge.silence import describe_silence
from embedding_operator.judge.verdict import RECHECK_SECONDS, State, Verdict, good, stalled, waiting
from embedding_operator.observe.facts import Refused, Resolved, Retrying
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot

FAILED_JOB_SECONDS: Final = 60.0  # a Job that ended without an answer is made again after so long
REFUSED_JOB_SECONDS: Final = 300.0  # a volume that was refused is read again after so long: its files may be repaired


@dataclass(frozen=True)
class ModelJudgement:
    """`verdict` becomes the condition Resolved. `resolved` and `request` are set once it is good.

    `job`: a Job must read the volume. `expired_job` names one that has had its time and is made again, `kept_job` one
    that reads or has answered: it stays, even where it would be rendered differently today.
    """

    verdict: Verdict
    resolved: ResolvedModel | None = None
    request: str | None = None
    evidence: tuple[Evidence, ...] = ()
    job: bool = False
    expired_job: str | None = None
    kept_job: str | None = None


@dataclass(frozen=True)
class _Answer:
    verdict: Verdict
    found: Resolved | None = None
    expired_job: str | None = None
    kept_job: str | None = None


def judge_model(snapshot: Snapshot) -> ModelJudgement:
    spec, request = snapshot.spec, snapshot.request
    if spec is None or request is None:
        message = snapshot.spec_error or "spec cannot be read"
        return ModelJudgement(verdict=stalled(Reason.INVALID_SPEC, message))
    if snapshot.stored is not None:
        stored = snapshot.stored
        found = Resolved(stored.resolved.origin, stored.resolved.manifest, stored.resolved.inspection)
        return _serve(found, embedding=spec.embedding, request=stored.request)
    from_volume = request.origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM
    answer = _ask_job(snapshot) if from_volume else _ask_resolver(snapshot)
    if answer.found is not None:
        judged = _serve(answer.found, embedding=spec.embedding, request=request.token)
        # Until it is stored, the answer exists only in the Job's pod: the Job stays.
        return replace(judged, job=True, kept_job=answer.kept_job) if from_volume else judged
    return ModelJudgement(
        verdict=answer.verdict, job=from_volume, expired_job=answer.expired_job, kept_job=answer.kept_job
    )


def _serve(found: Resolved, *, embedding: EmbeddingSpec, request: str) -> ModelJudgement:
    try:
        serving, evidence = apply_overrides(found.inspection, overrides=_read_overrides(embedding))
        space = fingerprint(manifest=found.manifest, inspection=found.inspection, serving=serving)
    except Refusal as refusal:
        return ModelJudgement(verdict=_refuse(refusal.document()))
    resolved = ResolvedModel(
        origin=found.origin, manifest=found.manifest, inspection=found.inspection, serving=serving, space=space
    )
    verdict = good(Reason.RESOLVED, _describe(resolved))
    return ModelJudgement(verdict=verdict, resolved=resolved, request=request, evidence=evidence)


def _read_overrides(embedding: EmbeddingSpec) -> Overrides:
    prompts = embedding.prompts
    return Overrides(
        pooling=None if embedding.pooling is PoolingMode.AUTO else Pooling(embedding.pooling.value),
        normalize=None if embedding.normalize is Normalization.AUTO else embedding.normalize is Normalization.ENABLED,
        dimensions=embedding.dimensions,
        prompts=None if prompts is None else tuple(Prompt(name=item.name, text=item.text) for item in prompts),
        default_prompt=embedding.default_prompt,
    )


def _describe(resolved: ResolvedModel) -> str:
    origin = resolved.origin
    if origin.kind is SourceKind.HUGGING_FACE:
        return f"{origin.repo}@{origin.requested} is commit {origin.revision}"
    return f"claim {origin.claim}, path {origin.path}: {len(resolved.manifest.files)} files hashed"


def _refuse(document: RefusalDocument, *, recheck_seconds: float | None = None) -> Verdict:
    return stalled(document.reason, document.message, recheck_seconds=recheck_seconds)


def _ask_resolver(snapshot: Snapshot) -> _Answer:
    match snapshot.resolution:
        case Resolved() as found:
            return _Answer(verdict=good(Reason.RESOLVED), found=found)
        case Refused(refusal=document):
            return _Answer(verdict=_refuse(document))
        case Retrying(message=message):
            return _Answer(verdict=waiting(Reason.HUB_UNAVAILABLE, message))
        case _:
            asking = waiting(Reason.RESOLVING, "asking the hub for the commit, its files and what they say")
            return _Answer(verdict=_repeat_refusal(snapshot) or asking)


def _ask_job(snapshot: Snapshot) -> _Answer:
    request = snapshot.request
    job = _find_job(snapshot)
    if job is None:
        return _Answer(verdict=_repeat_refusal(snapshot) or _describe_reading(snapshot))
    pod = _find_pod(snapshot, job=job)
    name, report = job["metadata"]["name"], pod.job_report if pod else None
    if request and report and report.result is not None:
        found = Resolved(request.origin, report.result.manifest, report.result.inspection)
        return _Answer(verdict=good(Reason.RESOLVED), found=found, kept_job=name)
    refusal = (report.refusal if report else None) or (read_refusal(pod.object) if pod else None)
    if refusal is not None:
        left = _seconds_left(job, now=snapshot.now, of=REFUSED_JOB_SECONDS)
        verdict = _refuse(_name_volume(snapshot, refusal=refusal), recheck_seconds=max(left, 1.0))
        if left <= 0:
            return _Answer(verdict=verdict, expired_job=name)
        return _Answer(verdict=verdict, kept_job=name)
    if _find_end(job):
        return _judge_ended_job(snapshot, job=job, pod=pod)
    trouble = find_trouble(pod.object) if pod else None
    is_reading = pod is not None and (pod.object.get("status") or {}).get("phase") == "Running"
    return _Answer(
        verdict=_claim_missing(snapshot)
        or trouble
        or _repeat_refusal(snapshot)
        or _describe_reading(snapshot, pod=pod),
        kept_job=name if is_reading else None,
    )


def _find_job(snapshot: Snapshot) -> Object | None:
    """The Job that answers this request: one that has answered before a newer one, which is a corrected one."""
    token = snapshot.request.token if snapshot.request else None
    jobs = [
        item
        for item in snapshot.children.jobs
        if not item["metadata"].get("deletionTimestamp") and token and _answers(item, token=token)
    ]
    return max(jobs, key=lambda item: (_has_result(snapshot, item), *_age(item)), default=None)


def _has_result(snapshot: Snapshot, job: Object) -> bool:
    pod = _find_pod(snapshot, job=job)
    return bool(pod and pod.job_report and pod.job_report.result)


def _age(job: Object) -> tuple[str, str]:
    return job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]


def _find_end(job: Object) -> Mapping[str, Any]:
    """The condition Failed or Complete. A Job never completes by itself: it serves its answer until it is deleted, so
    a completed one was told to end, by a drain for example."""
    status = job.get("status") or {}
    ends = (find_condition(status, kind=kind) for kind in ("Failed", "Complete"))
    return next((end for end in ends if end.get("status") == "True"), {})


def _name_volume(snapshot: Snapshot, *, refusal: RefusalDocument) -> RefusalDocument:
    """The Job knows the folder only by where it is mounted; the user knows claim and path."""
    if snapshot.request is None:
        return refusal
    origin = snapshot.request.origin
    return refusal.model_copy(update={"message": f"claim {origin.claim}, path {origin.path}: {refusal.message}"})


def _judge_ended_job(snapshot: Snapshot, *, job: Object, pod: ObservedPod | None) -> _Answer:
    """It ended, and nobody has its answer."""
    name = job["metadata"]["name"]
    left = _seconds_left(job, now=snapshot.now, of=FAILED_JOB_SECONDS)
    trouble = find_trouble(pod.object) if pod else None
    words = _find_end(job).get("message") or "it ended before its answer was read"
    reason, message = (trouble.reason, trouble.message) if trouble else (Reason.POD_FAILED, f"Job {name}: {words}")
    verdict = waiting(reason, f"{message}; it is made again", recheck_seconds=max(left, 1.0))
    return _Answer(verdict=verdict, expired_job=name if left <= 0 else None)


def _claim_missing(snapshot: Snapshot) -> Verdict | None:
    if snapshot.claim_exists is not False or snapshot.request is None:
        return None
    message = (
        f'PersistentVolumeClaim "{snapshot.request.origin.claim}" does not exist in namespace '
        f'"{snapshot.key.namespace}": create it, or correct spec.model.persistentVolumeClaim.claimName'
    )
    return waiting(Reason.VOLUME_NOT_FOUND, message, recheck_seconds=RECHECK_SECONDS)


def _describe_reading(snapshot: Snapshot, *, pod: ObservedPod | None = None) -> Verdict:
    message = f"a Job reads and hashes the files of the volume{describe_silence([pod] if pod else [])}"
    return _claim_missing(snapshot) or waiting(Reason.INSPECTING_VOLUME, message)


def _repeat_refusal(snapshot: Snapshot) -> Verdict | None:
    """What the status says already of this very request: a restarted operator asks again without a word in between."""
    status = EmbeddingModelStatus.from_dict(snapshot.status)
    requested_at = snapshot.request.requested_at if snapshot.request else None
    if status.observed_generation != snapshot.generation or status.last_handled_request != requested_at:
        return None
    condition, is_stalled = status.condition(ConditionType.RESOLVED), status.condition(ConditionType.STALLED)
    if condition is None or condition.status != "False":
        return None
    if is_stalled is None:
        # A volume's trouble is read from its Job's pod, at once; only the hub has to be asked.
        is_hub = condition.reason == Reason.HUB_UNAVAILABLE
        return waiting(condition.reason, condition.message) if is_hub else None
    return Verdict(State.STALLED, condition.reason, condition.message)


def _answers(job: Object, *, token: str) -> bool:
    return (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST) == token


def _find_pod(snapshot: Snapshot, *, job: Object) -> ObservedPod | None:
    uid = job["metadata"]["uid"]
    pods = [pod for pod in snapshot.pods if uid in _owner_uids(pod.object)]
    return pods[-1] if pods else None


def _owner_uids(item: Mapping[str, Any]) -> list[str]:
    return [owner.get("uid", "") for owner in item["metadata"].get("ownerReferences") or ()]


def _seconds_left(job: Object, *, now: datetime, of: float) -> float:
    """Of a pause that starts when the Job ended; one that has answered and still runs counts from its creation.

    Two clocks are compared: however far they are apart, no pause is longer than it should be.
    """
    began = _find_end(job).get("lastTransitionTime") or job["metadata"]["creationTimestamp"]
    passed = (now - datetime.fromisoformat(began)).total_seconds()
    return min(of, of - passed)
