"""Judges a snapshot: each verdict in the order in which they depend on each other."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from embedding_model.resolved import ResolvedModel
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.api.status import Condition
from embedding_operator.judge.approval import describe_pending, find_offered
from embedding_operator.judge.case_set import judge_case_set
from embedding_operator.judge.collisions import find_collision
from embedding_operator.judge.gate import judge_gate, repeat_mismatch
from embedding_operator.judge.generations import Generation, read_generations
from embedding_operator.judge.inputs import hash_inputs
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.model import ModelJudgement
from embedding_operator.judge.quarantine import Quarantine, judge_quarantine
from embedding_operator.judge.reference import judge_reference
from embedding_operator.judge.rollout import judge_rollout
from embedding_operator.judge.tracking import judge_model
from embedding_operator.judge.traffic import Traffic, find_serving_space, is_slot_free, judge_traffic
from embedding_operator.judge.verdict import RECHECK_SECONDS, State
from embedding_operator.observe.snapshot import Snapshot

Direct = Callable[[str, bool, bool], Traffic]
"""Directs the traffic, given the target's space, whether it is ready, and whether its pods can be made."""


def judge(snapshot: Snapshot) -> Judgement:
    model = judge_model(snapshot)
    generations, spec = read_generations(snapshot), snapshot.spec
    quarantine = judge_quarantine(snapshot, generations=generations)
    offered = find_offered(model, selected=find_serving_space(snapshot, generations=generations))
    waiting_space = offered.resolved.space if offered and offered.resolved else None
    direct = partial(
        judge_traffic,
        snapshot,
        generations=generations,
        replicas=spec.replicas if spec else 1,
        pending=waiting_space,
        is_settled=model.is_settled,
        scales_selected=model.held is not None,
    )
    if spec is None or model.resolved is None or model.held is not None:
        traffic = direct(target=None, is_target_ready=False)
        judged = Judgement(model=model, generations=generations, traffic=traffic, quarantine=quarantine)
    else:
        judged = _judge_target(
            snapshot,
            spec,
            model=model,
            resolved=model.resolved,
            generations=generations,
            quarantine=quarantine,
            direct=lambda target, is_ready, can_be_made: direct(
                target=target, is_target_ready=is_ready, can_be_made=can_be_made
            ),
            has_slot=is_slot_free(
                snapshot, target=model.resolved.space, pending=waiting_space, is_settled=model.is_settled
            ),
            before=_find_verified(snapshot),
        )
    if spec is None or offered is None or offered.resolved is None:
        return judged
    beside = Traffic(selected=judged.traffic.selected, target_replicas=spec.replicas)
    pending = _judge_target(
        snapshot,
        spec,
        model=offered,
        resolved=offered.resolved,
        generations=generations,
        quarantine=quarantine,
        direct=lambda *_: beside,
        has_slot=True,
        before=_find_verified(snapshot) if judged.target is None else None,
    )
    return describe_pending(replace(judged, pending=pending), key=snapshot.key)


def _judge_target(
    snapshot: Snapshot,
    spec: EmbeddingModelSpec,
    *,
    model: ModelJudgement,
    resolved: ResolvedModel,
    generations: Mapping[str, Generation],
    quarantine: Quarantine,
    direct: Direct,
    has_slot: bool,
    before: Condition | None,
) -> Judgement:
    """`has_slot`: whether pods of this generation, or a Job that needs what they need, may be made now. `before`: the
    condition Verified, when it speaks of this generation."""
    target = generations.get(resolved.space) or Generation(space=resolved.space, deployment=None)
    collision = find_collision(snapshot, space=resolved.space)
    reference = judge_reference(
        snapshot, spec=spec, resolved=resolved, has_slot=has_slot, can_ask=collision is None, before=before
    )
    sparse = resolved.inspection.sparse
    cases = judge_case_set(
        spec,
        serving=resolved.serving,
        user_goldens=snapshot.user_goldens,
        labels=resolved.inspection.labels,
        heads=[head.kind for head in resolved.inspection.token_heads],
        has_query_weights=sparse is not None and sparse.query_weights is not None,
        reference=reference.reference,
    )
    inputs = hash_inputs(spec, resolved=resolved, case_set=cases.case_set)
    gate = None
    if cases.problem is None and collision is None:
        gate = judge_gate(
            target,
            model=snapshot.key.name,
            case_set=cases.case_set,
            inputs=inputs,
            policy=spec.verification.failure_policy,
            replicas=spec.replicas,
            replaced=quarantine.replaced,
        )
        # The generation says nothing of what a ConfigMap holds; of a set that passed, its pods have it mounted.
        if snapshot.user_goldens is None or gate.verdict.reason == Reason.GOLDENS_PASSED:
            heals = _was_healing(snapshot, said=before)
            gate = repeat_mismatch(gate, target=target, before=before, is_healing=heals)
        if snapshot.user_goldens is not None and gate.verdict.state is State.STALLED:
            gate = replace(gate, verdict=replace(gate.verdict, recheck_seconds=RECHECK_SECONDS))
        gate = reference.hold(policy=spec.verification.failure_policy) or reference.mark(gate)
    rollout = judge_rollout(
        target,
        inputs=inputs,
        replicas=spec.replicas,
        policy=spec.rollout,
        weights=resolved.inspection.weights,
        now=snapshot.now,
    )
    is_ready = rollout.is_good and gate is not None and not (gate.blocks and not gate.verdict.is_good)
    return Judgement(
        model=model,
        generations=generations,
        traffic=direct(
            resolved.space,
            is_ready,
            gate is not None and (gate.adopted or not reference.is_untaken or target.replicas > 0),
        ),
        cases=cases,
        target=target,
        inputs=inputs,
        collision=collision,
        reference=reference,
        gate=gate,
        rollout=rollout,
        quarantine=quarantine,
    )


def _find_verified(snapshot: Snapshot) -> Condition | None:
    """The condition Verified, when it speaks of this generation."""
    status = snapshot.before
    return status.condition(ConditionType.VERIFIED) if status.observed_generation == snapshot.generation else None


def _was_healing(snapshot: Snapshot, *, said: Condition | None) -> bool:
    """Whether what `said` that pods fail was about to heal without anybody's help."""
    going_on = snapshot.before.condition(ConditionType.RECONCILING)
    return said is not None and going_on is not None and going_on.reason == said.reason
