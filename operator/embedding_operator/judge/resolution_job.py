"""What a Job that resolves a source has to say, and whether it stays or is made again."""

from dataclasses import dataclass, replace
from typing import Final

from embedding_model.refusal import Reason as RefusalReason
from embedding_model.refusal import RefusalDocument
from embedding_model.resolved import SourceKind
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.changed_files import refuse_change
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
from embedding_operator.judge.verdict import Verdict, good, stalled, waiting
from embedding_operator.observe.facts import ResolutionRequest, Resolved
from embedding_operator.observe.snapshot import ObservedPod, Snapshot

FAILED_JOB_SECONDS: Final = 60.0  # a Job that ended without an answer is made again after so long
REFUSED_JOB_SECONDS: Final = 300.0  # what was refused is read again after so long: its files may be repaired
# The same where gigabytes were read to find it out, and may be the same the next time. Shorter than a Job may run.
COSTLY_JOB_SECONDS: Final = 1800.0
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
        unmade = find_unmade(snapshot, question=request.question)
        work = _describe_work(request=request, converts=converts)
        verdict = unmade or find_missing_claim(snapshot, job=None) or work
        return JobAnswer(verdict, JobWish(request, converts), is_silent=unmade is None)
    report, refusal = job.report, job.refusal
    keeping = JobWish(request, converts, kept=job.name)
    if report and report.result is not None:
        # Where the files come from is the request's to say; the Job only knows which commit it was.
        origin = request.origin.model_copy(update={"revision": report.result.origin.revision})
        found = Resolved(origin, report.result.manifest, report.result.inspection)
        refusal = refuse_change(snapshot, request=request, found=found)
        if refusal is None:
            return JobAnswer(good(Reason.RESOLVED), keeping, found=found)
    if refusal is not None:
        pause = _choose_pause(request, refusal=refusal, converts=converts)
        left = job.seconds_left(now=snapshot.now, of=pause)
        named = _name_source(request, refusal=refusal)
        verdict = stalled(named.reason, named.message, recheck_seconds=max(left, 1.0))
        return JobAnswer(verdict, keeping if left > 0 else JobWish(request, converts, expired=job.name))
    if job.end:
        return _judge_ended(snapshot, job=job, wish=JobWish(request, converts))
    if job.pod is None:
        return _judge_podless(snapshot, job=job, wish=JobWish(request, converts))
    missing = find_missing_claim(snapshot, job=job) or find_trouble(job.pod.object, now=snapshot.now)
    verdict = missing or _describe_work(request=request, converts=converts, pod=job.pod)
    if missing is None:
        verdict = replace(verdict, recheck_seconds=find_mount_overdue(job.pod.object, now=snapshot.now))
    wish = keeping if job.is_working else JobWish(request, converts)
    return JobAnswer(verdict, wish, is_silent=missing is None)


def _choose_pause(request: ResolutionRequest, *, refusal: RefusalDocument, converts: bool) -> float:
    is_fetched = converts or request.origin.kind is SourceKind.IMAGE
    is_costly = refusal.reason is RefusalReason.HASH_MISMATCH or (is_fetched and refusal.reason not in _SAID_AT_ONCE)
    return COSTLY_JOB_SECONDS if is_costly else REFUSED_JOB_SECONDS


def find_job(snapshot: Snapshot, *, request: ResolutionRequest) -> ObservedJob | None:
    """The Job that answers this request: one that has answered before a newer one, which is a corrected one."""
    jobs = find_jobs(snapshot, question=request.question)
    return max(jobs, key=lambda job: (bool(job.report and job.report.result), *job.age), default=None)


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


def _judge_ended(snapshot: Snapshot, *, job: ObservedJob, wish: JobWish) -> JobAnswer:
    """It ended, and nobody has its answer."""
    left = job.seconds_left(now=snapshot.now, of=FAILED_JOB_SECONDS)
    trouble = find_trouble(job.pod.object) if job.pod else None
    words = job.end.get("message") or "it ended before its answer was read"
    reason, message = (trouble.reason, trouble.message) if trouble else (Reason.POD_FAILED, f"Job {job.name}: {words}")
    if reason == Reason.CRASH_LOOPING and wish.request.origin.kind is not SourceKind.PERSISTENT_VOLUME_CLAIM:
        reason = Reason.DOWNLOAD_FAILED
    verdict = waiting(reason, f"{message}; it is made again", recheck_seconds=max(left, 1.0))
    expired = job.name if left <= 0 else None
    return JobAnswer(verdict, JobWish(wish.request, wish.converts, expired=expired))


def _judge_podless(snapshot: Snapshot, *, job: ObservedJob, wish: JobWish) -> JobAnswer:
    """Its pod is about to be created, or is refused."""
    missing = find_missing_claim(snapshot, job=job)
    refused = find_podless(job, now=snapshot.now) if missing is None else None
    if refused is not None:
        return JobAnswer(refused, wish)
    left = job.seconds_left(now=snapshot.now, of=PODLESS_SECONDS)
    work = replace(_describe_work(request=wish.request, converts=wish.converts), recheck_seconds=max(left, 1.0))
    return JobAnswer(missing or work, wish, is_silent=missing is None)


def _describe_work(*, request: ResolutionRequest, converts: bool, pod: ObservedPod | None = None) -> Verdict:
    progress = describe_progress([pod.job_report.progress if pod and pod.job_report else None])
    more = f"{progress}{describe_silence([pod] if pod else [])}"
    if converts:
        return waiting(Reason.CONVERTING, f"a Job fetches the pickle and converts it in isolation{more}")
    if request.origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM:
        return waiting(Reason.INSPECTING_VOLUME, f"a Job reads and hashes the files of the volume{more}")
    what = "reads the image's files" if request.origin.kind is SourceKind.IMAGE else "asks the hub for commit and files"
    return waiting(Reason.RESOLVING, f"a Job in the model's namespace {what}{more}")
