"""A Job of ours together with its pod: has it ended, what does it say, how long ago was that?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from embedding_model.ports import JobReport
from embedding_model.refusal import RefusalDocument
from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.generations import find_condition
from embedding_operator.judge.pod_trouble import read_refusal
from embedding_operator.judge.verdict import RECHECK_SECONDS, REFUSED_SECONDS, Verdict, stalled, waiting
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot, is_fetching

# A Job that has no pod for so long is refused one: its events say why, which the operator does not read.
PODLESS_SECONDS: Final = 30.0
PODLESS: Final = "has no pod: a quota or an admission policy may refuse it"  # no other message has these words


@dataclass(frozen=True)
class ObservedJob:
    """`pod` is its newest one."""

    object: Object
    pod: ObservedPod | None

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def age(self) -> tuple[str, str]:
        """Grows with what was created later."""
        return self.object["metadata"].get("creationTimestamp", ""), self.name

    @property
    def report(self) -> JobReport | None:
        return self.pod.job_report if self.pod else None

    @property
    def refusal(self) -> RefusalDocument | None:
        """What it refuses with, be it that it serves it, or that it ended with it."""
        told = self.report.refusal if self.report else None
        return told or (read_refusal(self.pod.object) if self.pod else None)

    @property
    def end(self) -> Mapping[str, Any]:
        """The condition Failed or Complete; empty while it runs. A Job never completes by itself: it serves its answer
        until it is deleted, so a completed one was told to end, by a drain for example."""
        status = self.object.get("status") or {}
        ends = (find_condition(status, kind=kind) for kind in ("Failed", "Complete"))
        return next((end for end in ends if end.get("status") == "True"), {})

    @property
    def is_working(self) -> bool:
        """Whether its pod runs, or fetches what it needs."""
        if self.pod is None:
            return False
        return (self.pod.object.get("status") or {}).get("phase") == "Running" or is_fetching(self.pod.object)

    def seconds_left(self, *, now: datetime, of: float) -> float:
        """Of a pause that starts when the Job ended; one that has answered and still runs counts from its creation.

        Two clocks are compared: however far they are apart, no pause is longer than it should be.
        """
        began = self.end.get("lastTransitionTime") or self.object["metadata"]["creationTimestamp"]
        passed = (now - datetime.fromisoformat(began)).total_seconds()
        return min(of, of - passed)

    def start_seconds_left(self, *, now: datetime, of: float) -> float:
        """Of the time in which its pod is to start: from the last step on its way (it was made, found a node, fetched
        its files, ended), without a pod from the Job's creation. As in `seconds_left`, no clock makes it longer."""
        item = self.pod.object if self.pod else self.object
        turns = (self.pod.object.get("status") or {}).get("conditions") or () if self.pod else ()
        steps = [item["metadata"]["creationTimestamp"], *(turn.get("lastTransitionTime") for turn in turns)]
        passed = now - max(datetime.fromisoformat(step) for step in steps if step)
        return min(of, of - passed.total_seconds())

    def mounts(self, volume: str) -> bool:
        volumes = self.object["spec"]["template"]["spec"].get("volumes") or ()
        return any(item.get("name") == volume for item in volumes)


def find_jobs(snapshot: Snapshot, *, question: str) -> Sequence[ObservedJob]:
    """Those that answer `question` and are not being deleted."""
    return [
        ObservedJob(object=item, pod=_find_pod(snapshot, job=item))
        for item in snapshot.children.jobs
        if not item["metadata"].get("deletionTimestamp") and _answers(item, question=question)
    ]


def find_unmade(snapshot: Snapshot, *, question: str) -> Verdict | None:
    """Why the API server takes no Job that asks `question`; it is offered again and again."""
    job = snapshot.unmade_jobs.get(question)
    if job is None:
        return None
    say = stalled if job.is_denied else waiting
    return say(job.reason, job.words, recheck_seconds=REFUSED_SECONDS)


def find_podless(job: ObservedJob, *, now: datetime) -> Verdict | None:
    """That it has been without a pod for long; None while one may come."""
    if job.seconds_left(now=now, of=PODLESS_SECONDS) > 0:
        return None
    name = job.name
    words = f"Job {name} {PODLESS}; kubectl describe job {name} tells"
    return waiting(Reason.POD_FAILED, words, recheck_seconds=RECHECK_SECONDS)


def find_missing_claim(snapshot: Snapshot, *, job: ObservedJob | None) -> Verdict | None:
    """The claim of the source, or of the cache that the Job waits for, when the user has not created it yet."""
    spec = snapshot.spec
    volume, cache = (spec.model.persistent_volume_claim, spec.cache) if spec else (None, None)
    if volume is not None and snapshot.claim_exists is False:
        claim, field = volume.claim_name, "spec.model.persistentVolumeClaim.claimName"
    elif cache is not None and snapshot.cache_exists is False and job is not None and job.mounts(names.VOLUME_CACHE):
        claim, field = cache.persistent_volume_claim.claim_name, "spec.cache.persistentVolumeClaim.claimName"
    else:
        return None
    message = (
        f'PersistentVolumeClaim "{claim}" does not exist in namespace "{snapshot.key.namespace}": create it, or '
        f"correct {field}"
    )
    return waiting(Reason.VOLUME_NOT_FOUND, message, recheck_seconds=RECHECK_SECONDS)


def _answers(job: Object, *, question: str) -> bool:
    return (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUEST) == question


def _find_pod(snapshot: Snapshot, *, job: Object) -> ObservedPod | None:
    uid = job["metadata"]["uid"]
    pods = [pod for pod in snapshot.pods if uid in _owner_uids(pod.object)]
    return max(pods, key=lambda pod: (pod.object["metadata"].get("creationTimestamp", ""), pod.name), default=None)


def _owner_uids(item: Mapping[str, Any]) -> list[str]:
    return [owner.get("uid", "") for owner in item["metadata"].get("ownerReferences") or ()]
