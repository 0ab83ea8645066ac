"""The status of an EmbeddingModel, rebuilt from a snapshot and its verdicts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from pydantic.alias_generators import to_camel

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState
from embedding_model.resolved import Evidence, Quantization, ResolvedModel, Scoring, SparseHead, TokenHead
from embedding_operator.api import names
from embedding_operator.api.conditions import UNTAKEN
from embedding_operator.api.reasons import ConditionType, Reason
from embedding_operator.api.status import (
    KEPT_RETIRED,
    Condition,
    ConditionStatus,
    EmbeddingModelStatus,
    EvidenceStatus,
    ModelStatus,
    PodsStatus,
    PromptStatus,
    ScoringStatus,
    SpaceStatus,
    SparseStatus,
    TokenHeadStatus,
    VerificationSource,
    VerificationStatus,
    WeightsStatus,
    shorten,
)
from embedding_operator.children.metadata import Owner
from embedding_operator.children.service import server_selector, service_url
from embedding_operator.judge.gate import count_passed
from embedding_operator.judge.generations import (
    Generation,
    mounted_config_map,
    pod_spec,
    read_selected_space,
    read_served_spaces,
)
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.verdict import State
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.observe.stored_model import describe_source
from embedding_operator.observe.stored_reference import is_computed
from embedding_operator.observe.vouched import list_stored

MAX_EVIDENCE = 64
MAX_TEXT = 1024
# UTF-8, of all evidence together: an object must stay below the 1.5 MiB that etcd takes, whatever a model's files say.
MAX_EVIDENCE_BYTES = 128 * 1024


def build_status(
    snapshot: Snapshot,
    *,
    judgement: Judgement,
    conditions: Sequence[Condition],
    manifests: Sequence[Mapping[str, Any]],
) -> EmbeddingModelStatus:
    """`manifests`: the children that are wanted."""
    before = snapshot.before
    owner = Owner(namespace=snapshot.key.namespace, name=snapshot.key.name, uid=snapshot.uid)
    serving = judgement.serving or judgement.target
    return EmbeddingModelStatus(
        observed_generation=snapshot.generation,
        conditions=tuple(conditions),
        model=_describe_model(snapshot, judgement=judgement) or before.model,
        space=_describe_space(snapshot, judgement=judgement, before=before),
        verification=_describe_verification(judgement, conditions=conditions, before=before, now=snapshot.now),
        pods=_describe_pods(serving, before=before),
        url=service_url(owner) if judgement.traffic.selected else before.url,
        replicas=_count(serving, "replicas"),
        ready_replicas=len(serving.ready_pods) if serving else 0,
        updated_replicas=_count_updated(judgement),
        selector=_describe_selector(owner.name, space=serving.space) if serving else before.selector,
        last_handled_request=_echo_request(snapshot, judgement=judgement, before=before),
        stored=list_stored(snapshot.children.config_maps, manifests=manifests, before=before.stored),
    )


def build_suspended_status(snapshot: Snapshot, *, conditions: Sequence[Condition]) -> EmbeddingModelStatus:
    before = snapshot.before
    return before.model_copy(update={"observed_generation": snapshot.generation, "conditions": tuple(conditions)})


def _describe_model(snapshot: Snapshot, *, judgement: Judgement) -> ModelStatus | None:
    """What is asked for; what serves, while that is not known or not approved."""
    resolved, evidence = judgement.model.resolved, judgement.model.evidence
    if resolved is None or judgement.model.held is not None:
        served = _find_served_model(snapshot, serving=judgement.serving)
        resolved, evidence = (served, ()) if served else (resolved, evidence)
    if resolved is None:
        return None
    origin, inspection, serving = resolved.origin, resolved.inspection, resolved.serving
    digest, weights = resolved.manifest.digest(), inspection.weights
    revision = origin.revision or (origin.image or "").partition("@")[2] or None
    prompts = tuple(PromptStatus(name=prompt.name, text=prompt.text) for prompt in serving.prompts)
    return ModelStatus(
        task=serving.task.value,
        architecture=inspection.architecture,
        family=inspection.family,
        source=describe_source(origin),
        revision=revision,
        short_revision=(revision or digest).removeprefix("sha256:")[:12],
        requested=origin.requested,
        manifest=f"sha256:{digest}",
        weights=WeightsStatus(format=weights.format, bytes=weights.bytes, files=weights.files),
        pooling=serving.pooling.value if serving.pooling else None,
        further_poolings=tuple(item.value for item in serving.further_poolings) or None,
        normalize=serving.normalize,
        dimensions=serving.dimensions,
        max_input_tokens=serving.max_input_tokens,
        matryoshka_dimensions=inspection.matryoshka_dimensions or None,
        truncation_side=serving.truncation_side.value,
        padding_side=inspection.padding_side.value,
        end_token=inspection.end_token,
        prompts=prompts or None,
        default_prompt=serving.default_prompt,
        token_heads=tuple(map(_describe_token_head, inspection.token_heads)) or None,
        labels=inspection.labels or None,
        activation=serving.activation.value if serving.activation else None,
        scoring=_describe_scoring(inspection.scoring) if inspection.scoring else None,
        sparse=_describe_sparse(inspection.sparse) if inspection.sparse else None,
        instruction=serving.instruction,
        quantization=None if serving.quantization is Quantization.NONE else serving.quantization.value,
        licence=inspection.licence,
        evidence=_describe_evidence(inspection.evidence, overrides=evidence),
    )


def _describe_scoring(scoring: Scoring) -> ScoringStatus:
    return ScoringStatus(
        rule=scoring.rule.value,
        template=scoring.template,
        true_token=scoring.true_token,
        false_token=scoring.false_token,
        label=scoring.label,
    )


def _describe_sparse(head: SparseHead) -> SparseStatus:
    return SparseStatus(pooling=head.pooling.value, activation=head.activation, query_weights=head.query_weights)


def _describe_token_head(head: TokenHead) -> TokenHeadStatus:
    return TokenHeadStatus(kind=head.kind.value, file=head.file, output_dimensions=head.output_dimensions)


def _find_served_model(snapshot: Snapshot, *, serving: Generation | None) -> ResolvedModel | None:
    if serving is None or serving.deployment is None:
        return None
    name = mounted_config_map(pod_spec(serving.deployment), volume="model-config")
    return next((model.resolved for model in snapshot.models if model.name == name), None)


def _describe_evidence(own: Iterable[Evidence], *, overrides: Sequence[Evidence]) -> tuple[EvidenceStatus, ...] | None:
    overridden = {item.field for item in overrides}
    kept = [*(item for item in own if item.field not in overridden), *overrides]
    items = [_describe_item(item) for item in kept[:MAX_EVIDENCE]]
    sizes = accumulate(len(item.model_dump_json().encode()) for item in items)
    return tuple(item for item, size in zip(items, sizes, strict=True) if size <= MAX_EVIDENCE_BYTES) or None


def _describe_item(item: Evidence) -> EvidenceStatus:
    return EvidenceStatus(
        field=to_camel(item.field),
        value=shorten(item.value, limit=MAX_TEXT),
        file=shorten(item.file, limit=MAX_TEXT),
        key=shorten(item.key, limit=MAX_TEXT) if item.key else None,
        note=shorten(item.note, limit=MAX_TEXT) if item.note else None,
        overruled=tuple(shorten(text, limit=MAX_TEXT) for text in item.overruled[:16]) or None,
    )


def _describe_space(snapshot: Snapshot, *, judgement: Judgement, before: EmbeddingModelStatus) -> SpaceStatus | None:
    """A space counts as served from its first ready pod on; a moment without pods does not take it back."""
    selected, known = read_selected_space(snapshot), before.space.fingerprint if before.space else None
    if selected != judgement.traffic.selected:
        selected = known  # it is about to be written; what it selects may be somebody else's doing
    generation = judgement.generations.get(selected) if selected else None
    served = selected if generation and (generation.ready_pods or known == selected) else None
    target = judgement.target.space if judgement.target else None
    pending = judgement.model.pending or (target if target != served else None)
    if served is None and pending is None:
        return None
    return SpaceStatus(
        fingerprint=served, pending=pending, previous=_list_previous(snapshot, judgement=judgement, served=served)
    )


def _list_previous(snapshot: Snapshot, *, judgement: Judgement, served: str | None) -> tuple[str, ...] | None:
    kept = {space for space, item in judgement.generations.items() if item.is_kept} - {*judgement.traffic.expired}
    former = [space for space in read_served_spaces(snapshot) if space in kept and space != served]
    return tuple(former[:KEPT_RETIRED]) or None


def _describe_verification(
    judgement: Judgement, *, conditions: Sequence[Condition], before: EmbeddingModelStatus, now: datetime
) -> VerificationStatus | None:
    asked = judgement.asked
    case_set, gate = asked.case_set, asked.gate
    is_computing = asked.reference is not None and asked.reference.is_computing
    if asked.target is None or gate is None or is_computing:
        return before.verification
    if case_set is None:
        return None
    old, total, has_passed = before.verification, len(case_set.cases), gate.verdict.reason == Reason.GOLDENS_PASSED
    if gate.results:
        passed, worst = count_passed(gate.results, case_set=case_set), _find_worst(gate.results)
    elif _is_known(conditions) and old is not None and old.total == total:
        passed, worst = total if has_passed else old.passed, old.worst_cosine
    else:
        passed, worst = total if has_passed else 0, None
    is_same = old is not None and (old.passed, old.total) == (passed, total) and _keeps(conditions, before=before)
    return VerificationStatus(
        source=_find_source(case_set),
        passed=passed,
        total=total,
        worst_cosine=worst,
        last_verified_time=old.last_verified_time if old and is_same else now,
    )


def _is_known(conditions: Sequence[Condition]) -> bool:
    """Whether the condition Verified says yes or no: without new answers it then repeats what older ones said."""
    kind = ConditionType.VERIFIED
    return any(item.type == kind and item.status is not ConditionStatus.UNKNOWN for item in conditions)


def _find_source(case_set: CaseSet) -> VerificationSource:
    kinds = {is_computed(case) for case in case_set.cases}
    if len(kinds) > 1:
        return VerificationSource.BOTH
    return VerificationSource.REFERENCE if kinds == {True} else VerificationSource.USER


def _keeps(conditions: Sequence[Condition], *, before: EmbeddingModelStatus) -> bool:
    """Whether the condition Verified has the status that it had."""
    old = before.condition(ConditionType.VERIFIED)
    return any(old and item.type == old.type and item.status is old.status for item in conditions)


def _find_worst(results: Iterable[CaseResult]) -> str | None:
    measured = [item.measured for item in results if item.kind == "vector" and item.measured]
    return min(measured, key=Decimal, default=None)


def _describe_pods(serving: Generation | None, *, before: EmbeddingModelStatus) -> PodsStatus | None:
    if serving is None or serving.deployment is None:
        return before.pods
    # A report from before the pod had checked itself is replaced within a second: then what it runs on and what its
    # cases measured are written at once.
    reports = [pod.report for pod in serving.ready_pods if pod.report and pod.report.state is not GateState.PENDING]
    image = next(
        (
            item.get("image")
            for item in pod_spec(serving.deployment)["containers"]
            if item["name"] == names.CONTAINER_RUNTIME
        ),
        None,
    )
    if reports:
        told = reports[0]
        quantization = told.quantization.value if told.quantization else None
        return PodsStatus(device=told.device, dtype=told.dtype, quantization=quantization, runtime_image=image)
    # Until they are asked again, what pods of the same image and space said of themselves holds.
    known = before.space.fingerprint if before.space else None
    is_same = before.pods is not None and before.pods.runtime_image == image and known == serving.space
    return before.pods if is_same else PodsStatus(runtime_image=image)


def _count(generation: Generation | None, field: str) -> int:
    return int(generation.status.get(field, 0)) if generation else 0


def _count_updated(judgement: Judgement) -> int:
    target = judgement.target
    return _count(target, "updatedReplicas") if target and target.inputs == judgement.inputs else 0


def _describe_selector(model: str, *, space: str) -> str:
    labels: Mapping[str, Any] = server_selector(model, space=space)
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _echo_request(snapshot: Snapshot, *, judgement: Judgement, before: EmbeddingModelStatus) -> str | None:
    """A request is handled once the source has answered it, be it with a refusal."""
    asked = (snapshot.model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT)
    verdict = judgement.model.verdict
    # A Job that the API server does not take has asked nobody.
    is_waiting = verdict.state is State.WAITING or verdict.reason in UNTAKEN or not judgement.model.is_answered
    return before.last_handled_request if is_waiting else asked
