"""Wall two: which pods are asked what, and what the answers say of a pod.

Every server pod of every generation that has loaded its model is audited, also of a generation that is on its way out,
and while the model is suspended: a wrong vector is as wrong there. Each is asked the cases that it has mounted itself,
read from its own ConfigMaps: another set may be on its way. The reference's holdout belongs to the goldens that it was
computed with: a pod that has not mounted these is asked nothing of it. Nor is any of a space that the spec asks for
without a reference, though it has mounted them still.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

import orjson
from pydantic import ValidationError

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet, VectorCase
from embedding_model.ports import CaseResult, GateState
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec, FailurePolicy
from embedding_operator.api.verification_spec import ReferencePolicy
from embedding_operator.judge.generations import Generation, is_started, list_mounted, mounted_config_map
from embedding_operator.observe.case_sets import read_case_set
from embedding_operator.observe.facts import AuditOrder
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot
from embedding_operator.observe.stored_reference import Reference, is_computed

NO_CASES = CaseSet(cases=())
# Always the same words: others would be another order, which is carried out at once.
OBJECTION: Final = "it serves without golden cases of the reference implementation, which were asked for"


@dataclass(frozen=True)
class AuditWish:
    pod: ObservedPod
    order: AuditOrder


def list_audits(
    snapshot: Snapshot, *, generations: Mapping[str, Generation], objections: Mapping[str, bool]
) -> Sequence[AuditWish]:
    """`objections`: of the spaces that the spec asks for, whether the reference's cases cannot be computed (True), or
    are not asked for (False).

    A pod whose ConfigMaps are gone, or say nothing that we can read, is not asked: nobody knows what it has to answer.
    Nor is one that has to keep the verdict that it has, before it has told which that is.
    """
    pods = [pod for generation in generations.values() for pod in generation.pods if is_started(pod)]
    if not pods:
        return ()
    config_maps = {item["metadata"]["name"]: item for item in snapshot.children.config_maps}
    models = {model.name: model.resolved for model in snapshot.models}
    references = {item.space: item for item in snapshot.references}
    wishes: list[AuditWish] = []
    for pod in pods:
        spec = pod.object.get("spec") or {}
        model = models.get(mounted_config_map(spec, volume="model-config") or "")
        case_set = _read_mounted(spec, config_maps=config_maps)
        if model is None or case_set is None:
            continue
        order = AuditOrder(case_set=case_set, holdout=NO_CASES, serving=model.serving, space=model.space)
        said = objections.get(model.space)
        if any(is_computed(case) for case in case_set.cases):
            reference = None if said is False else references.get(model.space)
            holdout = _choose_holdout(reference, mounted=case_set) if reference else NO_CASES
            wishes.append(AuditWish(pod=pod, order=replace(order, holdout=holdout)))
            continue
        objection = _find_objection(pod, said=said, asked=snapshot.spec)
        if objection is not None:
            wishes.append(AuditWish(pod=pod, order=replace(order, objection=objection)))
    return wishes


def _choose_holdout(reference: Reference, *, mounted: CaseSet) -> CaseSet:
    """With the threshold that the pod was made with: a raised one of the spec is tried first, and closes none."""
    vectors = [case for case in mounted.cases if is_computed(case) and isinstance(case, VectorCase)]
    threshold = max((case.min_cosine_similarity for case in vectors), key=Decimal, default=None)
    return reference.with_threshold(threshold).holdout if threshold else reference.holdout


def _find_objection(pod: ObservedPod, *, said: bool | None, asked: EmbeddingModelSpec | None) -> str | None:
    """Why a pod without the reference's cases must not be called verified; None while it has to tell what it was told.

        `said` of its space            told by the operator    objection
        cannot be computed             -                       yes
        not asked for                  -                       no
        cannot be said                 passed                  no
        cannot be said                 failed                  yes: perhaps for this cause
        cannot be said                 nothing yet             if the spec asks for a reference

    Only of a pod that serves all the same: any other would close, and was not opened without a set that is asked for.
    """
    if said is False or not _serves_unverified(pod):
        return ""
    if said:
        return OBJECTION
    if pod.report is None:
        return None
    asks = asked is not None and asked.verification.reference is ReferencePolicy.AUTO
    told = pod.report.verdict
    return OBJECTION if told is GateState.FAILED or (told is GateState.PENDING and asks) else ""


def _serves_unverified(pod: ObservedPod) -> bool:
    """Whether its template was rendered under failurePolicy Warn."""
    containers = (pod.object.get("spec") or {}).get("containers") or ()
    arguments = [
        text for item in containers if item["name"] == names.CONTAINER_RUNTIME for text in item.get("args", ())
    ]
    return ("--failure-policy", FailurePolicy.WARN) in pairwise(arguments)


def is_verified(pod: ObservedPod, *, case_set: CaseSet) -> bool:
    """Whether both walls say yes to what it answers to `case_set`.

    A pod that cannot be audited, because its server is too old or because the operator does not reach it, is judged by
    wall one alone. So is, until its audit, one that opened by itself while no operator was there.
    """
    if pod.report is None or (pod.report.state, pod.report.case_set) != (GateState.PASSED, case_set.name):
        return False
    if pod.audit is None:
        return pod.is_ready
    return pod.audit.state is not GateState.FAILED


def is_unaudited(pod: ObservedPod) -> bool:
    """Whether its first audit is still to come."""
    return pod.audit is None and pod.silence is None


def list_audit_failures(pod: ObservedPod, *, case_set: CaseSet | None = None) -> Sequence[CaseResult]:
    """All results of its last audit, when that failed; of another set than `case_set` they say nothing."""
    audit = pod.audit
    if audit is None or audit.state is not GateState.FAILED:
        return ()
    return audit.results if case_set is None or audit.case_set == case_set.name else ()


def _read_mounted(spec: Object, *, config_maps: Mapping[str, Object]) -> CaseSet | None:
    """The cases that the pod has; None when one of its ConfigMaps is gone."""
    mounted = [config_maps.get(name) for name in list_mounted(spec, volume=names.VOLUME_GOLDENS)]
    texts = tuple((item.get("data") or {}).get(ports.GOLDENS_FILE, "") if item else None for item in mounted)
    present = tuple(text for text in texts if text is not None)
    if len(present) < len(texts):
        return None
    try:
        return read_case_set(*present)
    except (ValidationError, orjson.JSONDecodeError):
        return None
