"""All verdicts on one snapshot, in the order in which they depend on each other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from embedding_model.goldens.cases import CaseSet
from embedding_operator.api.reasons import ConditionType
from embedding_operator.api.status import Condition, EmbeddingModelStatus
from embedding_operator.judge.case_set import CaseSetJudgement, judge_case_set
from embedding_operator.judge.gate import Gate, judge_gate, repeat_mismatch
from embedding_operator.judge.generations import Generation, read_generations
from embedding_operator.judge.inputs import hash_inputs
from embedding_operator.judge.model import ModelJudgement
from embedding_operator.judge.rollout import judge_rollout
from embedding_operator.judge.tracking import judge_model
from embedding_operator.judge.traffic import Traffic, judge_traffic
from embedding_operator.judge.verdict import RECHECK_SECONDS, State, Verdict
from embedding_operator.observe.snapshot import Snapshot


@dataclass(frozen=True)
class Judgement:
    """`generations` are those that exist; `target` is the one that the spec asks for, None while that is not known, or
    not approved.

    `inputs`, `gate` and `rollout` speak of the target. `case_set` is None without cases, and without a known model.
    """

    model: ModelJudgement
    generations: Mapping[str, Generation]
    traffic: Traffic
    cases: CaseSetJudgement | None = None
    target: Generation | None = None
    inputs: str | None = None
    gate: Gate | None = None
    rollout: Verdict | None = None

    @property
    def case_set(self) -> CaseSet | None:
        return self.cases.case_set if self.cases else None

    @property
    def serving(self) -> Generation | None:
        """The generation that the Service selects."""
        return self.generations.get(self.traffic.selected) if self.traffic.selected else None


def judge(snapshot: Snapshot) -> Judgement:
    model = judge_model(snapshot)
    generations = read_generations(snapshot)
    spec, resolved = snapshot.spec, model.resolved
    if spec is None or resolved is None or model.held is not None:
        replicas = spec.replicas if spec else 0
        traffic = judge_traffic(
            snapshot,
            generations=generations,
            target=None,
            is_target_ready=False,
            replicas=replicas,
            scales_selected=model.held is not None,
        )
        return Judgement(model=model, generations=generations, traffic=traffic)
    target = generations.get(resolved.space) or Generation(space=resolved.space, deployment=None)
    cases = judge_case_set(spec, serving=resolved.serving, user_goldens=snapshot.user_goldens)
    inputs = hash_inputs(spec, resolved=resolved, case_set=cases.case_set)
    gate = None
    if cases.problem is None:
        gate = judge_gate(
            target,
            model=snapshot.key.name,
            case_set=cases.case_set,
            inputs=inputs,
            policy=spec.verification.failure_policy,
            replicas=spec.replicas,
        )
        if snapshot.user_goldens is None:
            gate = repeat_mismatch(gate, target=target, before=_find_verified(snapshot))
        elif gate.verdict.state is State.STALLED:
            gate = replace(gate, verdict=replace(gate.verdict, recheck_seconds=RECHECK_SECONDS))
    rollout = judge_rollout(target, inputs=inputs, replicas=spec.replicas, now=snapshot.now)
    is_ready = rollout.is_good and gate is not None and not (gate.blocks and not gate.verdict.is_good)
    traffic = judge_traffic(
        snapshot, generations=generations, target=resolved.space, is_target_ready=is_ready, replicas=spec.replicas
    )
    return Judgement(
        model=model,
        generations=generations,
        traffic=traffic,
        cases=cases,
        target=target,
        inputs=inputs,
        gate=gate,
        rollout=rollout,
    )


def _find_verified(snapshot: Snapshot) -> Condition | None:
    """The condition Verified, when it speaks of this generation."""
    status = EmbeddingModelStatus.from_dict(snapshot.status)
    return status.condition(ConditionType.VERIFIED) if status.observed_generation == snapshot.generation else None
