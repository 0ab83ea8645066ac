"""Is the model resolved, and what is served of it?

stored in one of our ConfigMaps     taken from there, whatever the hub says today
hub                                 the resolver's answer
volume                              the answer of an inspection Job's pod
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
from embedding_operator.judge.verdict import RECHECK_SECONDS, State, Verdict, good, stalled, waiting
from embedding_operator.observe.facts import Refused, Resolved, Retrying
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot

FAILED_JOB_SECONDS: Final = 60.0  # a Job that died is made again after so long
REFUSED_JOB_SECONDS: Final = 300.0  # a volume that was refused is read again after so long: its files may be repaired


@dataclass(frozen=True)
class ModelJudgement:
    """`verdict` becomes the condition Resolved. `resolved` and `request` are set once it is good.

    `job`: a Job must read the volume. `expired_job` names one that has had its time and is made again.
    """

    verdict: Verdict
    resolved: ResolvedModel | None = None
    request: str | None = None
    evidence: tuple[Evidence, ...] = ()
    job: bool = False
    expired_job: str | None = None


@dataclass(frozen=True)
class _Answer:
    verdict: Verdict
    found: Resolved | None = None
    expired_job: str | None = None


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
        return judged if not from_volume else _keep_job(judged)
    return ModelJudgement(verdict=answer.verdict, job=from_volume, expired_job=answer.expired_job)


def _keep_job(judged: ModelJudgement) -> ModelJudgement:
    return ModelJudgement(judged.verdict, judged.resolved, judged.request, judged.evidence, job=True)


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
    job = next((item for item in snapshot.children.jobs if request and _answers(item, token=request.token)), None)
    pod = _find_pod(snapshot, job=job) if job else None
    if job is None or job["metadata"].get("deletionTimestamp"):
        return _Answer(verdict=_repeat_refusal(snapshot) or _describe_reading(snapshot))
    report = pod.job_report if pod else None
    if request and report and report.result is not None:
        found = Resolved(request.origin, report.result.manifest, report.result.inspection)
        return _Answer(verdict=good(Reason.RESOLVED), found=found)
    refusal = (report.refusal if report else None) or (read_refusal(pod.object) if pod else None)
    if refusal is not None:
        left = _seconds_left(job, now=snapshot.now, of=REFUSED_JOB_SECONDS)
        expired = job["metadata"]["name"] if left <= 0 else None
        verdict = _refuse(_name_volume(snapshot, refusal=refusal), recheck_seconds=max(left, 1.0))
        return _Answer(verdict=verdict, expired_job=expired)
    if find_condition(job.get("status") or {}, kind="Failed").get("status") == "True":
        return _judge_failed_job(snapshot, job=job, pod=pod)
    trouble = find_trouble(pod.object) if pod else None
    return _Answer(
        verdict=_claim_missing(snapshot) or trouble or _repeat_refusal(snapshot) or _describe_reading(snapshot)
    )


def _name_volume(snapshot: Snapshot, *, refusal: RefusalDocument) -> RefusalDocument:
    """The Job knows the folder only by where it is mounted; the user knows claim and path."""
    if snapshot.request is None:
        return refusal
    origin = snapshot.request.origin
    return refusal.model_copy(update={"message": f"claim {origin.claim}, path {origin.path}: {refusal.message}"})


def _judge_failed_job(snapshot: Snapshot, *, job: Object, pod: ObservedPod | None) -> _Answer:
    name = job["metadata"]["name"]
    left = _seconds_left(job, now=snapshot.now, of=FAILED_JOB_SECONDS)
    trouble = find_trouble(pod.object) if pod else None
    words = find_condition(job.get("status") or {}, kind="Failed").get("message", "")
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


def _describe_reading(snapshot: Snapshot) -> Verdict:
    message = "a Job reads and hashes the files of the volume"
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
    created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    return of - (now - created).total_seconds()
