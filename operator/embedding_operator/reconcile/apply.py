"""Carry out a plan: writes in order, each idempotent: a crash between any two is healed by the next reconcile."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.generations import list_config_maps, pod_spec
from embedding_operator.judge.verdict import REFUSED_SECONDS, State, Verdict, stalled, waiting
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Conflict,
    FieldConflict,
    Forbidden,
    Gateway,
    GatewayError,
    Invalid,
    Kind,
    Object,
)
from embedding_operator.observe.facts import Facts, UnmadeJob
from embedding_operator.observe.observe import is_controlled_by
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.build import Planned, describe_conflict, identify, is_current
from embedding_operator.plan.plan import Delete
from embedding_operator.reconcile.conflicts import apply_or_restore, describe_field_conflict
from embedding_operator.reconcile.restorations import Restorations

logger = logging.getLogger(__name__)

KINDS: Final[Mapping[str, Kind]] = {
    kind.kind: kind for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, JOB, POD_DISRUPTION_BUDGET)
}
LEARNT_SECONDS: Final = 1.0  # until what a write taught is judged
# A resourceVersion that no object has: etcd is at 1 before anything is written. What is applied with it is created, and
# is a conflict with whatever has its name already.
BEFORE_ANY_WRITE: Final = "1"


@dataclass(frozen=True)
class Written:
    """`failure` is for the status. What the API server refused holds up what needs it and, unless it is a Job, every
    deletion but of Jobs; where nothing was decided, everything after it (`is_over`). `error` is set when a retry may
    cure it by itself.

    `recheck_seconds`: a Job was refused. Nothing that is planned beside it needs it; what that means for the model its
    judge says in the next reconcile, which offers it again.

    `writes_serving`: the spec of a Deployment or Service is another one now. An apply alone does not say so: where an
    admission policy rewrites what we write, we apply again and again, and nothing changes.
    `keeps_serving`: the pods of what serves were not taken away for what is to come, as was planned.
    """

    failure: Verdict | None = None
    error: GatewayError | None = None
    writes_serving: bool = False
    recheck_seconds: float | None = None
    keeps_serving: bool = False
    is_over: bool = False

    def fail(self, failure: Verdict, *, error: GatewayError | None = None) -> "Written":
        """The first failure is the one that is told."""
        return replace(self, failure=self.failure or failure, error=self.error or _find_curable(error))

    def wait(self, seconds: float, *, error: GatewayError) -> "Written":
        seconds = min(seconds, self.recheck_seconds or seconds)
        return replace(self, recheck_seconds=seconds, error=self.error or _find_curable(error))


def _find_curable(error: GatewayError | None) -> GatewayError | None:
    return error if error is not None and not error.is_refusal else None


async def carry_out(gateway: Gateway, planned: Planned, *, snapshot: Snapshot, facts: Facts) -> Written:
    """Raises GatewayError for what the status need not speak of: a conflict, which the next reconcile resolves."""
    written = await _apply_all(gateway, planned, snapshot=snapshot, facts=facts)
    if written.is_over:
        return written
    # A Job goes only once what it answered has been seen stored, and holds a device until then.
    doomed = [item for item in planned.plan.delete if not written.failure or item.kind == JOB.kind]
    return await _delete_all(gateway, doomed, snapshot=snapshot, written=written)


async def _apply_all(gateway: Gateway, planned: Planned, *, snapshot: Snapshot, facts: Facts) -> Written:
    """What comes after follows from what was observed, not from what was written before: it goes on, but for what
    mounts a ConfigMap that is not there."""
    live = {identify(item): item for item in snapshot.children.all()}
    restorations = Restorations.of(snapshot, facts=facts)
    kept = planned.kept
    written = Written(keeps_serving=planned.keeps_serving)
    missing: set[str] = set()
    is_ended = False  # whether what serves has lost its pods to what is to come
    for item in _list_steps(planned):
        identity, is_job = identify(item), item["kind"] == JOB.kind
        manifest, current = item, live.get(identity)
        if kept is not None and identity == identify(kept):
            if written.failure:
                manifest, written = kept, replace(written, keeps_serving=True)
            if item is kept and not written.keeps_serving:
                continue  # it has no pods, and needs none
            if current is not None and is_current(current, manifest=manifest):
                continue
        if missing & _list_needed(manifest):
            continue
        try:
            answer = await _write(gateway, manifest, child=current, uid=snapshot.uid, restorations=restorations)
        except FieldConflict as error:
            written = written.fail(describe_field_conflict(*identity, model=snapshot.key.name, error=error))
            continue
        except GatewayError as error:
            failure = _describe_failure(*identity, error=error)
            if failure is None:
                raise
            if failure.reason == Reason.TERMINATING or error.is_undecided:
                has_pods = kept is not None and bool(live.get(identify(kept), {}).get("spec", {}).get("replicas"))
                stays = written.keeps_serving or (has_pods and not is_ended)
                return replace(written.fail(failure, error=error), is_over=True, keeps_serving=stays)
            if manifest["kind"] == CONFIG_MAP.kind:
                missing.add(identity[1])
            if is_job and not isinstance(error, NameTaken):
                _note_unmade(manifest, failure=failure, snapshot=snapshot, facts=facts)
                is_known = _read_question(manifest) in snapshot.unmade_jobs
                written = written.wait(REFUSED_SECONDS if is_known else LEARNT_SECONDS, error=error)
            else:
                written = written.fail(failure, error=error)
            continue
        is_ended |= kept is not None and identity == identify(kept) and manifest is not kept
        if is_job:
            facts.note_unmade_job(snapshot.key, question=_read_question(manifest), job=None)
        is_serving = manifest["kind"] in (DEPLOYMENT.kind, SERVICE.kind)
        if is_serving and (current or {}).get("spec") != answer.get("spec"):
            written = replace(written, writes_serving=True)
        logger.info("applied %s %s of %s", *identity, snapshot.key)
    return written


def _list_steps(planned: Planned) -> Sequence[Object]:
    """What is planned and, where nothing of what serves was to change, the place at which it is kept: behind all that
    its successor needs. A budget is not among that."""
    kept, steps = planned.kept, planned.plan.apply
    if kept is None or any(identify(item) == identify(kept) for item in steps):
        return steps
    budgets = [item for item in steps if item["kind"] == POD_DISRUPTION_BUDGET.kind]
    return [*(item for item in steps if item not in budgets), kept, *budgets]


def _list_needed(manifest: Object) -> set[str]:
    """Names of the ConfigMaps that its pods mount, or that a Deployment is restored from."""
    if manifest["kind"] not in (DEPLOYMENT.kind, JOB.kind):
        return set()
    template = manifest["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE)
    return {*list_config_maps(pod_spec(manifest)), *([template] if template else [])}


async def _delete_all(gateway: Gateway, doomed: Iterable[Delete], *, snapshot: Snapshot, written: Written) -> Written:
    for item in doomed:
        try:
            await gateway.delete(KINDS[item.kind], namespace=item.namespace, name=item.name, uid=item.uid)
        except GatewayError as error:
            failure = _describe_failure(item.kind, item.name, error=error)
            if failure is None:
                raise
            written = written.fail(failure, error=error)
            if error.is_undecided:
                return written
            continue
        logger.info("deleted %s %s of %s: %s", item.kind, item.name, snapshot.key, item.why)
    return written


def _note_unmade(manifest: Object, *, failure: Verdict, snapshot: Snapshot, facts: Facts) -> None:
    question = _read_question(manifest)
    before = snapshot.unmade_jobs.get(question)
    job = UnmadeJob(
        model=snapshot.uid,
        reason=failure.reason,
        words=failure.message,
        is_denied=failure.state is State.STALLED,
        since=before.since if before else snapshot.now,
        at=snapshot.now,
    )
    facts.note_unmade_job(snapshot.key, question=question, job=job)


def _read_question(job: Object) -> str:
    return str(job["metadata"]["annotations"][names.ANNOTATION_REQUEST])


class NameTaken(Conflict):
    """An object of this name exists that we do not control."""


async def _write(
    gateway: Gateway, manifest: Object, *, child: Object | None, uid: str, restorations: Restorations
) -> Object:
    """`child`: what is listed as a child of `uid`, and written over; nothing else of that name is, however new.

    Raises:
        NameTaken: it is somebody else's.
        Conflict: what was there has gone: by now the name may be another one's.
    """
    metadata = manifest["metadata"]
    if child is None:
        try:
            return await gateway.apply({**manifest, "metadata": {**metadata, "resourceVersion": BEFORE_ANY_WRITE}})
        except Conflict as error:
            child = await _find_child(gateway, manifest, uid=uid, error=error)
    kind, child_uid = KINDS[manifest["kind"]], child["metadata"]["uid"]
    return await apply_or_restore(gateway, manifest, kind=kind, uid=child_uid, restorations=restorations)


async def _find_child(gateway: Gateway, manifest: Object, *, uid: str, error: Conflict) -> Object:
    """What has the name, though no listing says so: made at this very moment, or without our label."""
    metadata = manifest["metadata"]
    found = await gateway.get(KINDS[manifest["kind"]], namespace=metadata["namespace"], name=metadata["name"])
    if found is None:
        raise Conflict(error.message, status=error.status) from error
    if not is_controlled_by(found, uid=uid):
        raise NameTaken(error.message, status=error.status) from error
    return found


def _describe_failure(kind: str, name: str, *, error: GatewayError) -> Verdict | None:
    """What the API server, or an admission webhook behind it, has against a write; None when another write was there
    before it, or when we are not let in at all."""
    if isinstance(error, NameTaken):
        return describe_conflict(kind, name)
    if isinstance(error, Conflict) or error.status == 401:
        return None
    words = f"{kind} {name}: {error.message}"
    if error.is_undecided:
        return waiting(Reason.PROGRESSING, words)
    if isinstance(error, Forbidden):
        return _describe_forbidden(kind, name, message=error.message)
    if not error.is_refusal:
        return waiting(Reason.CHILD_REJECTED, words)
    # A webhook denies with any 4xx, and its policy may change without our being told.
    seconds = None if isinstance(error, Invalid) else REFUSED_SECONDS
    return stalled(Reason.CHILD_REJECTED, words, recheck_seconds=seconds)


def _describe_forbidden(kind: str, name: str, *, message: str) -> Verdict:
    if "being terminated" in message:
        return waiting(Reason.TERMINATING, "the namespace is being deleted")
    reason = Reason.QUOTA_EXCEEDED if "exceeded quota" in message else Reason.API_FORBIDDEN
    return waiting(reason, f"{kind} {name}: {message}", recheck_seconds=REFUSED_SECONDS)
