"""One reconcile: observe -> judge -> plan -> apply -> status -> events. Level-triggered; nothing is kept in between."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from embedding_operator.api.reasons import Reason
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.children.desired import desire
from embedding_operator.children.profile import RenderSettings
from embedding_operator.judge.audits import list_audits
from embedding_operator.judge.judgement import Judgement, judge
from embedding_operator.judge.objections import list_objections
from embedding_operator.judge.verdict import State
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Gateway
from embedding_operator.observe.facts import Facts, Key
from embedding_operator.observe.observe import observe
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.plan.build import make_plan
from embedding_operator.reconcile.apply import carry_out
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
    planned = make_plan(snapshot, judgement=judgement, manifests=wanted.manifests)
    _ask_trials(judgement, facts=facts)
    for pod in judgement.traffic.retiring:
        facts.request_retirement(pod.ref)
    for isolated in await isolate(gateway, planned.plan, snapshot=snapshot, facts=facts):
        await tell_quarantined(gateway, snapshot=snapshot, why=isolated.why, instance=settings.identity)
    written = await carry_out(gateway, planned, snapshot=snapshot)
    findings = Findings(
        judgement=judgement,
        replicas=snapshot.spec.replicas if snapshot.spec else 0,
        failure=written.failure,
        obstacle=planned.obstacle,
        problem=wanted.problem,
        writes_serving=written.writes_serving,
        update_available=wanted.update_available,
    )
    status = build_status(snapshot, judgement=judgement, conditions=summarise(findings, snapshot=snapshot))
    await _write_status(gateway, snapshot=snapshot, status=status, settings=settings)
    if written.error is not None:
        raise written.error
    return _conclude(findings)


def _ask_audits(snapshot: Snapshot, *, judgement: Judgement, facts: Facts) -> None:
    objections = list_objections(snapshot, judgement=judgement)
    for wish in list_audits(snapshot, generations=judgement.generations, objections=objections):
        facts.request_audit(wish.pod.ref, order=wish.order)


def _ask_trials(judgement: Judgement, *, facts: Facts) -> None:
    for part in judgement.all:
        if part.gate is not None and part.case_set is not None:
            for pod in part.gate.trial:
                facts.request_trial(pod.ref, case_set=part.case_set)


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


def _conclude(findings: Findings) -> Outcome:
    cause, gate = find_cause(findings), findings.judgement.gate
    # Under failurePolicy Warn a mismatch is no cause, and may heal all the same.
    waited_for = cause or (gate.verdict if gate else None)
    waits = [waited_for.recheck_seconds if waited_for else None, findings.judgement.quarantine.recheck_seconds]
    seconds = min((item for item in waits if item is not None), default=None)
    if seconds is not None:
        return Wait(seconds, waited_for.reason if waited_for else Reason.QUARANTINED)
    if cause is not None and cause.state is State.STALLED:
        return Stalled(cause.reason)
    return Done()
