"""One reconcile: observe -> judge -> plan -> apply -> status -> events. Level-triggered; nothing is kept in between."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.children.desired import desire
from embedding_operator.children.profile import RenderSettings
from embedding_operator.judge.audits import list_audits
from embedding_operator.judge.judge import judge
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.objections import list_objections
from embedding_operator.judge.verdict import State, Verdict
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Gateway
from embedding_operator.observe.facts import Facts, Key
from embedding_operator.observe.observe import observe
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.build import make_plan
from embedding_operator.reconcile.apply import Written, carry_out
from embedding_operator.reconcile.events import tell_changes, tell_quarantined
from embedding_operator.reconcile.isolate import isolate
from embedding_operator.reconcile.outcome import Done, Outcome, Stalled, Wait
from embedding_operator.reconcile.status_builder import build_status, build_suspended_status
from embedding_operator.reconcile.summary import Findings, find_cause, summarise, summarise_suspended


class ReconcileSettings(RenderSettings, Protocol):
    @property
    def upgrade_policy(self) -> str: ...
    @property
    def identity(self) -> str: ...


def read_clock() -> datetime:
    return datetime.now(UTC)


async def reconcile(
    key: Key,
    *,
    gateway: Gateway,
    facts: Facts,
    settings: ReconcileSettings,
    clock: Callable[[], datetime] = read_clock,
) -> Outcome:
    """Bring the children of one EmbeddingModel to what its spec asks for, and its status to what is.

    `clock` gives the present time in UTC. Raises GatewayError when the API server gives no usable answer: nothing is
    lost, the next reconcile starts over.
    """
    snapshot = await observe(gateway, key, facts=facts, hubs=settings, now=clock())
    if snapshot is None or snapshot.model["metadata"].get("deletionTimestamp"):
        facts.note_documents(key, documents={})
        return Done()
    judgement = judge(snapshot)
    _ask_audits(snapshot, judgement=judgement, facts=facts)
    if snapshot.spec is not None and snapshot.spec.suspend:
        status = build_suspended_status(snapshot, conditions=summarise_suspended(snapshot))
        await _write_status(gateway, snapshot=snapshot, status=status, settings=settings)
        return Done()
    wanted = desire(
        snapshot, judgement=judgement, settings=settings, rolls_upgrades=settings.upgrade_policy == "Rolling"
    )
    facts.note_documents(key, documents=wanted.mounted.seen)
    planned = make_plan(snapshot, judgement=judgement, manifests=wanted.manifests, kept=wanted.kept)
    _ask_trials(judgement, facts=facts)
    _remember_refused(judgement, key=key, facts=facts)
    _ask_retirements(judgement, facts=facts)
    isolated = await isolate(gateway, planned.plan, snapshot=snapshot, facts=facts)
    for item in isolated.pods:
        await tell_quarantined(gateway, snapshot=snapshot, why=item.why, instance=settings.identity)
    written = await carry_out(gateway, planned, snapshot=snapshot, facts=facts)
    findings = Findings(
        judgement=judgement,
        replicas=snapshot.spec.replicas if snapshot.spec else None,
        failure=_read_failure(written, snapshot=snapshot),
        obstacle=planned.obstacle,
        keeps_serving=written.keeps_serving,
        problem=wanted.problem,
        writes_serving=written.writes_serving,
        update_available=wanted.update_available,
        lost=wanted.mounted.lost,
    )
    conditions = summarise(findings, snapshot=snapshot)
    status = build_status(snapshot, judgement=judgement, conditions=conditions, manifests=wanted.manifests)
    await _write_status(gateway, snapshot=snapshot, status=status, settings=settings)
    error = isolated.error or written.error
    if error is not None:
        raise error
    return _conclude(findings, recheck_seconds=written.recheck_seconds)


def _read_failure(written: Written, *, snapshot: Snapshot) -> Verdict | None:
    """A call without an answer takes Ready from no model that has it: it is tried again, and pods are judged anyway."""
    ready = snapshot.before.condition(ConditionType.READY)
    is_ready = ready is not None and ready.is_true and ready.observed_generation == snapshot.generation
    # Of what is told: a call that was refused before it is told first.
    is_undecided = written.failure is not None and written.failure.reason == Reason.PROGRESSING
    return None if is_ready and is_undecided else written.failure


def _ask_audits(snapshot: Snapshot, *, judgement: Judgement, facts: Facts) -> None:
    objections = list_objections(snapshot, judgement=judgement)
    for wish in list_audits(snapshot, generations=judgement.generations, objections=objections):
        facts.request_audit(wish.pod.ref, order=wish.order)


def _ask_trials(judgement: Judgement, *, facts: Facts) -> None:
    for part in judgement.all:
        if part.gate is not None and part.case_set is not None:
            for pod in part.gate.trial:
                facts.request_trial(pod.ref, case_set=part.case_set)


def _ask_retirements(judgement: Judgement, *, facts: Facts) -> None:
    traffic = judgement.traffic
    for pods, retires in ((traffic.retiring, True), (traffic.recalled, False)):
        for pod in pods:
            boot_id = pod.report.boot_id if pod.report else None
            facts.request_retirement(pod.ref, boot_id=boot_id, retires=retires)


def _remember_refused(judgement: Judgement, *, key: Key, facts: Facts) -> None:
    """Before its Job is deleted: afterwards nothing else tells of the answer."""
    for part in judgement.all:
        asked = part.reference
        if asked is not None and asked.job is not None and asked.refused is not None:
            facts.record_refused_answer(key, question=asked.job.question, answer=asked.refused)


async def _write_status(
    gateway: Gateway, *, snapshot: Snapshot, status: EmbeddingModelStatus, settings: ReconcileSettings
) -> None:
    """The one status write, left out when it would say what is there already."""
    written = status.to_dict()
    if written == snapshot.status:
        return
    key = snapshot.key
    answer = await gateway.apply_status(
        EMBEDDING_MODEL, namespace=key.namespace, name=key.name, uid=snapshot.uid, status=written
    )
    if answer is not None:
        await tell_changes(gateway, snapshot=snapshot, after=status, instance=settings.identity)


def _conclude(findings: Findings, *, recheck_seconds: float | None) -> Outcome:
    cause, gate = find_cause(findings), findings.judgement.gate
    # Under failurePolicy Warn a mismatch is no cause, and may heal all the same.
    waited_for = cause or (gate.verdict if gate else None)
    waits = [
        waited_for.recheck_seconds if waited_for else None,
        findings.judgement.quarantine.recheck_seconds,
        findings.judgement.model.recheck_seconds,
        recheck_seconds,
    ]
    seconds = min((item for item in waits if item is not None), default=None)
    if seconds is not None:
        return Wait(seconds, waited_for.reason if waited_for else Reason.QUARANTINED)
    if cause is not None and cause.state is State.STALLED:
        return Stalled(cause.reason)
    return Done()
