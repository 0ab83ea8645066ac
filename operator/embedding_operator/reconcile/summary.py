"""The one place that computes Ready, Reconciling and Stalled: the first verdict in FINDINGS that is not good.

Ready        True when there is none
Reconciling  present while the verdict is waiting
Stalled      present while the verdict is stalled
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from embedding_operator.api.conditions import WRONG_ANSWERS
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import Condition, ConditionStatus, EmbeddingModelStatus, shorten
from embedding_operator.judge.generations import read_selected_space
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.verdict import State, Verdict, waiting
from embedding_operator.observe.snapshot import Snapshot

# What a rollout goes through when nothing is wrong with it.
_STEPS: Final = frozenset(
    {Reason.PROGRESSING, Reason.ROLLING_OUT, Reason.DOWNLOADING, Reason.VERIFYING, Reason.COMPUTING_REFERENCE}
)
MAX_WORDS: Final = 4096  # characters of a message; it may quote what a model's files say


@dataclass(frozen=True)
class Findings:
    """What one reconcile found out. `failure` stopped a write, `obstacle` is an object in the way of a child,
    `problem` kept something from being rendered. `writes_serving`: Deployment or Service were just changed.
    `lost`: ConfigMaps that pods of a space mount, and that nobody can restore.
    `keeps_serving`: pods that were to go for what is to come stay, because something cannot be written."""

    judgement: Judgement
    replicas: int | None  # of a spec that can be read
    failure: Verdict | None = None
    obstacle: Verdict | None = None
    problem: Verdict | None = None
    writes_serving: bool = False
    update_available: bool = False
    lost: Mapping[str, Collection[str]] = field(default_factory=dict)
    keeps_serving: bool = False


def _read_closed_gate(findings: Findings) -> Verdict | None:
    """A gate that failed, or that holds the template back: the rollout then speaks of what was asked for before."""
    gate = findings.judgement.gate
    if gate is None or not gate.blocks:
        return None
    # Also of a pod that is being replaced: it is not ready because it answers wrong.
    is_failed = gate.verdict.state is State.STALLED or gate.verdict.reason in WRONG_ANSWERS
    return gate.verdict if is_failed or not gate.adopted else None


def _read_gate(findings: Findings) -> Verdict | None:
    gate = findings.judgement.gate
    return gate.verdict if gate and gate.blocks else None


def _read_writes(findings: Findings) -> Verdict | None:
    return waiting(Reason.ROLLING_OUT, "a change was just applied") if findings.writes_serving else None


def _read_refusal(findings: Findings) -> Verdict | None:
    verdict = findings.judgement.model.verdict
    return verdict if verdict.state is State.STALLED else None


# In order: what is wrong with the request before what is wrong with the pods, and causes before consequences.
FINDINGS: Final[Sequence[Callable[[Findings], Verdict | None]]] = (
    _read_refusal,
    lambda findings: findings.judgement.cases.problem if findings.judgement.cases else None,
    lambda findings: findings.judgement.collision,
    lambda findings: findings.problem,
    lambda findings: findings.judgement.model.verdict,
    lambda findings: findings.failure,
    lambda findings: findings.obstacle,
    lambda findings: findings.judgement.model.held,
    _read_closed_gate,
    lambda findings: findings.judgement.rollout,
    _read_gate,
    lambda findings: findings.judgement.traffic.verdict,
    _read_writes,
    # Last: what a tracked branch moved to keeps nothing from serving.
    lambda findings: findings.judgement.model.news,
)


def find_cause(findings: Findings) -> Verdict | None:
    """Why the model is not Ready; None when it is."""
    for read in FINDINGS:
        verdict = read(findings)
        if verdict is not None and not verdict.is_good:
            return _add_gap(verdict, findings=findings)
    return None


def _add_gap(verdict: Verdict, *, findings: Findings) -> Verdict:
    """Under Replace what served goes before anything new comes: whatever holds that up, nothing serves meanwhile."""
    traffic = findings.judgement.traffic
    if not traffic.leaves_gap or findings.problem is not None or findings.keeps_serving:
        return verdict
    gap = f"spec.rollout.strategy is Replace: the pods of space {traffic.selected} go first, and nothing serves until "
    if verdict.state is State.STALLED:
        back = (
            f"{gap}this is cured. To go back, write into the spec what was there before: that generation is kept, and "
            "comes up through the gate"
        )
        return replace(verdict, message=f"{verdict.message}. {back}")
    reason = Reason.REPLACING if verdict.reason in _STEPS else verdict.reason
    awaited = f"pod {traffic.awaited[0]} is still ending" if traffic.awaited else verdict.message
    return replace(verdict, reason=reason, message=f"{gap}new ones are verified; {awaited}")


def summarise(findings: Findings, *, snapshot: Snapshot) -> Sequence[Condition]:
    """All conditions, in the order in which they are shown."""
    cause = find_cause(findings)
    stamp = _Stamp(snapshot.before, snapshot.generation, snapshot.now)
    conditions = [
        stamp(ConditionType.READY, *_judge_ready(findings, cause=cause)),
        stamp(ConditionType.AVAILABLE, *_judge_available(findings, cause=cause, snapshot=snapshot)),
        stamp(ConditionType.VERIFIED, *_judge_verified(findings, before=stamp.before)),
        stamp(ConditionType.RESOLVED, *_judge_resolved(_read_resolved(findings))),
    ]
    if cause is not None:
        kind = ConditionType.STALLED if cause.state is State.STALLED else ConditionType.RECONCILING
        conditions.append(stamp(kind, ConditionStatus.TRUE, cause.reason, cause.message))
    return conditions


def summarise_suspended(snapshot: Snapshot) -> Sequence[Condition]:
    """Conditions stay; only the generation that they speak of moves on."""
    before = snapshot.before
    if before.conditions:
        return [item.model_copy(update={"observed_generation": snapshot.generation}) for item in before.conditions]
    stamp = _Stamp(before, snapshot.generation, snapshot.now)
    said = (Reason.SUSPENDED, "spec.suspend is true: nothing is created")
    kinds = (ConditionType.AVAILABLE, ConditionType.VERIFIED, ConditionType.RESOLVED)
    ready = stamp(ConditionType.READY, ConditionStatus.FALSE, *said)
    return [ready, *(stamp(kind, ConditionStatus.UNKNOWN, *said) for kind in kinds)]


@dataclass(frozen=True)
class _Stamp:
    """Makes conditions; lastTransitionTime moves only when the status does."""

    before: EmbeddingModelStatus
    generation: int
    now: datetime

    def __call__(self, kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
        old = self.before.condition(kind)
        return Condition(
            type=str(kind),
            status=status,
            observed_generation=self.generation,
            last_transition_time=old.last_transition_time if old and old.status is status else self.now,
            reason=str(reason),
            message=shorten(message, limit=MAX_WORDS),
        )


Said = tuple[ConditionStatus, str, str]


def _judge_ready(findings: Findings, *, cause: Verdict | None) -> Said:
    if cause is not None:
        return ConditionStatus.FALSE, cause.reason, cause.message
    rollout = findings.judgement.rollout
    message = rollout.message if rollout else ""
    if findings.replicas == 0:
        return ConditionStatus.TRUE, Reason.SCALED_TO_ZERO, message
    if findings.update_available:
        news = "a newer runtime image or template is there: it comes with the next change of spec"
        return ConditionStatus.TRUE, Reason.UPDATE_AVAILABLE, f"{message}; {news}"
    return ConditionStatus.TRUE, Reason.SERVING, message


def _judge_available(findings: Findings, *, cause: Verdict | None, snapshot: Snapshot) -> Said:
    selected = read_selected_space(snapshot)
    status, reason, message = _count_serving(findings, cause=cause, selected=selected)
    lost = findings.lost.get(selected) if selected else None
    if lost:
        message = (
            f"{message}; ConfigMap {', '.join(lost)} was deleted, and nothing can restore it: a pod of that generation "
            "that starts anew waits for it, until what it was made of is asked for again"
        )
    return status, reason, message


def _count_serving(findings: Findings, *, cause: Verdict | None, selected: str | None) -> Said:
    judgement = findings.judgement
    serving = judgement.generations.get(selected) if selected else None
    ready = len(serving.ready_pods) if serving else 0
    if serving is None or ready == 0:
        if findings.replicas == 0:
            return ConditionStatus.FALSE, Reason.SCALED_TO_ZERO, "spec.replicas is 0"
        if cause is not None and (cause.reason == Reason.REPLACING or judgement.traffic.leaves_gap):
            return ConditionStatus.FALSE, Reason.REPLACING, f"no pod is ready: {cause.message}"
        return ConditionStatus.FALSE, Reason.NOT_AVAILABLE, "no pod is ready"
    target = judgement.target
    of_target = target is not None and serving.space == target.space
    updated = serving.updated_pods(judgement.inputs or "") if of_target else ()
    if {pod.name for pod in updated} & {pod.name for pod in serving.ready_pods}:
        return ConditionStatus.TRUE, Reason.MINIMUM_AVAILABLE, f"{ready} pods are ready"
    message = f"{ready} pods of the generation before are ready"
    return ConditionStatus.TRUE, Reason.PREVIOUS_GENERATION_SERVING, message


def _judge_verified(findings: Findings, *, before: EmbeddingModelStatus) -> Said:
    judgement = findings.judgement.asked
    if judgement.cases is not None and judgement.cases.problem is not None:
        problem = judgement.cases.problem
        return ConditionStatus.FALSE, problem.reason, problem.message
    if judgement.model.held is not None:
        return ConditionStatus.UNKNOWN, judgement.model.held.reason, "what is asked for is not approved, and not served"
    if judgement.collision is not None:
        return ConditionStatus.UNKNOWN, judgement.collision.reason, "there is no pod to verify: its name is taken"
    if judgement.gate is None:
        verdict = judgement.model.verdict
        return ConditionStatus.UNKNOWN, verdict.reason, "the model is not resolved: there is nothing to verify"
    verdict = judgement.gate.verdict
    if verdict.reason == Reason.SCALED_TO_ZERO:
        old = before.condition(ConditionType.VERIFIED)
        if old is not None and old.is_true and _is_still_asked(judgement, before=before):
            return ConditionStatus.TRUE, old.reason, old.message
    if verdict.reason == Reason.GOLDENS_PASSED:
        return ConditionStatus.TRUE, verdict.reason, verdict.message
    # A pod that fails and is being replaced has failed all the same.
    failed = verdict.state is State.STALLED or verdict.reason in (Reason.GOLDEN_MISMATCH, Reason.AUDIT_FAILED)
    return ConditionStatus.FALSE if failed else ConditionStatus.UNKNOWN, verdict.reason, verdict.message


def _is_still_asked(judgement: Judgement, *, before: EmbeddingModelStatus) -> bool:
    """Whether what the status says of Verified is said of what is asked for: without pods nobody verifies another one.

    It is, when the Deployment of the space that served is rendered from these inputs, which name the cases, too. While
    another space is pending, the status speaks of that one; and of a template that it does not vouch for it has not
    spoken at all.
    """
    target, space = judgement.target, before.space
    if target is None or not target.was_served or space is None or space.pending is not None:
        return False
    return target.inputs == judgement.inputs and target.template in {item.name for item in before.stored or ()}


def _read_resolved(findings: Findings) -> Verdict:
    """A Job that cannot be rendered, for want of its mirror or registry, resolves nothing."""
    verdict = findings.judgement.model.verdict
    return findings.problem if findings.problem and verdict.state is State.WAITING else verdict


def _judge_resolved(verdict: Verdict) -> Said:
    match verdict.state:
        case State.GOOD:
            return ConditionStatus.TRUE, verdict.reason, verdict.message
        case State.STALLED:
            return ConditionStatus.FALSE, verdict.reason, verdict.message
        case State.WAITING:
            is_asking = verdict.reason in (Reason.RESOLVING, Reason.INSPECTING_VOLUME, Reason.CONVERTING)
            status = ConditionStatus.UNKNOWN if is_asking else ConditionStatus.FALSE
            return status, verdict.reason, verdict.message
