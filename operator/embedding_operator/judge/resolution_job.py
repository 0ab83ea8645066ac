"""What a Job that resolves a source has to say, and whether it stays or is made again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import RefusalDocument
from embedding_model.resolved import SourceKind
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.changed_files import refuse_change
from embedding_operator.judge.generations import find_condition
from embedding_operator.judge.pod_trouble import find_mount_overdue, find_trouble, read_refusal
from embedding_operator.judge.progress import describe_progress
from embedding_operator.judge.silence import describe_silence
from embedding_operator.judge.verdict import RECHECK_SECONDS, Verdict, good, stalled, waiting
from embedding_operator.observe.facts import ResolutionRequest, Resolved
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot

FAILED_JOB_SECONDS: Final = 60.0  # a Job that ended without an answer is made again after so long
REFUSED_JOB_SECONDS: Final = 300.0  # what was refused is read again after so long: its files may be repaired
# The same where gigabytes were read to find it out, and may be the same the next time. Shorter than a Job may run.
COSTLY_JOB_SECONDS: Final = 1800.0
# A Job that has no pod for so long is refused one: its events say why, which the operator does not read.
PODLESS_SECONDS: Final = 30.0
# What a hub or a registry says before any file is read.
_SAID_AT_ONCE: Final = frozenset(
    {
        RefusalReason.ACCESS_DENIED,
        RefusalReason.REPOSITORY_NOT_FOUND,
        RefusalReason.REVISION_NOT_FOUND,
        RefusalReason.IMAGE_NOT_FOUND,
        RefusalReason.REGISTRY_NOT_ALLOWED,
    }
)


@dataclass(frozen=True)
class JobWish:
    """A Job must answer `request`; `converts`: because the operator itself found only a pickle.

    `expired` names one that has had its time and is made again, `kept` one that reads or has answered: it stays, even
    where it would be rendered differently today.
    """

    request: ResolutionRequest
    converts: bool = False
    expired: str | None = None
    kept: str | None = None


@dataclass(frozen=True)
class JobAnswer:
    """`found` is set when the Job has an answer. `is_silent`: nothing is known yet, for better or for worse."""

    verdict: Verdict
    wish: JobWish
    found: Resolved | None = None
    is_silent: bool = False


def ask_job(snapshot: Snapshot, *, request: ResolutionRequest, converts: bool) -> JobAnswer:
    job = find_job(snapshot, request=request)
    if job is None:
        verdict = _claim_missing(snapshot, job=None) or _describe_work(request=request, converts=converts)
        return JobAnswer(verdict, JobWish(request, converts), is_silent=True)
    pod = _find_pod(snapshot, job=job)
    name, report = job["metadata"]["name"], pod.job_report if pod else None
    keeping = JobWish(request, converts, kept=name)
    refusal = (report.refusal if report else None) or (read_refusal(pod.object) if pod else None)
    if report and report.result is not None:
        # Where the files come from is the request's to say; the Job only knows which commit it was.
        origin = request.origin.model_copy(update={"revision": report.result.origin.revision})
        found = Resolved(origin, report.result.manifest, report.result.inspection)
        refusal = refuse_change(snapshot, request=request, found=found)
        if refusal is None:
            return JobAnswer(good(Reason.RESOLVED), keeping, found=found)
    if refusal is not None:
        pause = _choose_pause(request, refusal=refusal, converts=converts)
        left = _seconds_left(job, now=snapshot.now, of=pause)
        named = _name_source(request, refusal=refusal)
        verdict = stalled(named.reason, named.message, recheck_seconds=max(left, 1.0))
        return JobAnswer(verdict, keeping if left > 0 else JobWish(request, converts, expired=name))
    if _find_end(job):
        return _judge_ended(snapshot, job=job, pod=pod, wish=JobWish(request, converts))
    if pod is None:
        return _judge_podless(snapshot, job=job, wish=JobWish(request, converts))
    trouble = find_trouble(pod.object, now=snapshot.now)
    is_reading = (pod.object.get("status") or {}).get("phase") == "Running"
    missing = _claim_missing(snapshot, job=job) or trouble
    verdict = missing or _describe_work(request=request, converts=converts, pod=pod)
    if missing is None:
        verdict = replace(verdict, recheck_seconds=find_mount_overdue(pod.object, now=snapshot.now))
    wish = keeping if is_reading else JobWish(request, converts)
    return JobAnswer(verdict, wish, is_silent=missing is None)


def _choose_pause(request: ResolutionRequest, *, refusal: RefusalDocument, converts: bool) -> float:
    is_fetched = converts or request.origin.kind is SourceKind.IMAGE
    is_costly = refusal.reason is RefusalReason.HASH_MISMATCH or (is_fetched and refusal.reason not in _SAID_AT_ONCE)
    return COSTLY_JOB_SECONDS if is_costly else REFUSED_JOB_SECONDS


def find_job(snapshot: Snapshot, *, request: ResolutionRequest) -> Object | None:
    """The Job that answers this request: one that has answered before a newer one, which is a corrected one."""
    jobs = [
        item
        for item in snapshot.children.jobs
        if not item["metadata"].get("deletionTimestamp") and _answers(item, question=request.question)
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


def _name_source(request: ResolutionRequest, *, refusal: RefusalDocument) -> RefusalDocument:
    """The Job knows the folder only by where it is mounted; the user knows claim or image, and path."""
    origin = request.origin
    if origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM:
        where = f"claim {origin.claim}, path {origin.path}: "
    elif origin.kind is SourceKind.IMAGE:
        where = f"image {origin.image}, path {origin.path}: "
    else:
        return refusal
    return refusal.model_copy(update={"message": f"{where}{refusal.message}"})


def _judge_ended(snapshot: Snapshot, *, job: Object, pod: ObservedPod | None, wish: JobWish) -> JobAnswer:
    """It ended, and nobody has its answer."""
    name = job["metadata"]["name"]
    left = _seconds_left(job, now=snapshot.now, of=FAILED_JOB_SECONDS)
    trouble = find_trouble(pod.object) if pod else None
    words = _find_end(job).get("message") or "it ended before its answer was read"
    reason, message = (trouble.reason, trouble.message) if trouble else (Reason.POD_FAILED, f"Job {name}: {words}")
    if reason == Reason.CRASH_LOOPING and wish.request.origin.kind is not SourceKind.PERSISTENT_VOLUME_CLAIM:
        reason = Reason.DOWNLOAD_FAILED
    verdict = waiting(reason, f"{message}; it is made again", recheck_seconds=max(left, 1.0))
    expired = name if left <= 0 else None
    return JobAnswer(verdict, JobWish(wish.request, wish.converts, expired=expired))


def _judge_podless(snapshot: Snapshot, *, job: Object, wish: JobWish) -> JobAnswer:
    """Its pod is about to be created, or is refused."""
    missing = _claim_missing(snapshot, job=job)
    left = _seconds_left(job, now=snapshot.now, of=PODLESS_SECONDS)
    if missing is None and left <= 0:
        name = job["metadata"]["name"]
        words = (
            f"Job {name} has no pod: a quota or an admission policy may refuse it; kubectl describe job {name} tells"
        )
        return JobAnswer(waiting(Reason.POD_FAILED, words, recheck_seconds=RECHECK_SECONDS), wish)
    work = replace(_describe_work(request=wish.request, converts=wish.converts), recheck_seconds=max(left, 1.0))
    return JobAnswer(missing or work, wish, is_silent=missing is None)


def _claim_missing(snapshot: Snapshot, *, job: Object | None) -> Verdict | None:
    """The claim of the source, or of the cache that the Job waits for, when the user has not created it yet."""
    spec = snapshot.spec
    volume, cache = (spec.model.persistent_volume_claim, spec.cache) if spec else (None, None)
    if volume is not None and snapshot.claim_exists is False:
        claim, field = volume.claim_name, "spec.model.persistentVolumeClaim.claimName"
    elif cache is not None and snapshot.cache_exists is False and job is not None and _mounts_cache(job):
        claim, field = cache.persistent_volume_claim.claim_name, "spec.cache.persistentVolumeClaim.claimName"
    else:
        return None
    message = (
        f'PersistentVolumeClaim "{claim}" does not exist in namespace "{snapshot.key.namespace}": create it, or '
        f"correct {field}"
    )
    return waiting(Reason.VOLUME_NOT_FOUND, message, recheck_seconds=RECHECK_SECONDS)


def _mounts_cache(job: Object) -> bool:
    volumes = job["spec"]["template"]["spec"].get("volumes") or ()
    return any(volume.get("name") == names.VOLUME_CACHE for volume in volumes)


def _describe_work(*, request: ResolutionRequest, converts: bool, pod: ObservedPod | None = None) -> Verdict:
    progress = describe_progress([pod.job_report.progress if pod and pod.job_report else None])
    more = f"{progress}{describe_silence([pod] if pod else [])}"
    if converts:
        return waiting(Reason.CONVERTING, f"a Job fetches the pickle and converts it in isolation{more}")
    if request.origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM:
        return waiting(Reason.INSPECTING_VOLUME, f"a Job reads and hashes the files of the volume{more}")
    what = "reads the image's files" if request.origin.kind is SourceKind.IMAGE else "asks the hub for commit and files"
    return waiting(Reason.RESOLVING, f"a Job in the model's namespace {what}{more}")


def _answers(job: Object, *, question: str) -> bool:
    return (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST) == question


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
