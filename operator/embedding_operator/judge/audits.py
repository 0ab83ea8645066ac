"""Wall two: which pods are asked what, and what the answers say of a pod.

Every server pod of every generation that has loaded its model is audited, also of a generation that is on its way out,
and while the model is suspended: a wrong vector is as wrong there. Each is asked the cases that it has mounted itself,
read from its own ConfigMaps: another set may be on its way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState
from embedding_operator.api import names
from embedding_operator.judge.generations import Generation, is_started, list_mounted, mounted_config_map
from embedding_operator.observe.case_sets import read_case_set
from embedding_operator.observe.facts import AuditOrder
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot

NO_CASES = CaseSet(cases=())


@dataclass(frozen=True)
class AuditWish:
    pod: ObservedPod
    order: AuditOrder


def list_audits(
    snapshot: Snapshot, *, generations: Mapping[str, Generation], objections: Mapping[str, str] | None
) -> Sequence[AuditWish]:
    """`objections`: by space, why no pod of it may be called verified; None while nobody can say.

    A pod whose ConfigMaps are gone, or say nothing that we can read, is not asked: nobody knows what it has to answer.
    """
    pods = [pod for generation in generations.values() for pod in generation.pods if is_started(pod)]
    if not pods:
        return ()
    config_maps = {item["metadata"]["name"]: item for item in snapshot.children.config_maps}
    models = {model.name: model.resolved for model in snapshot.models}
    threshold = snapshot.spec.verification.min_cosine_similarity if snapshot.spec else None
    references = [item.with_threshold(threshold) if threshold else item for item in snapshot.references]
    holdouts = {item.space: item.holdout for item in references}
    wishes = []
    for pod in pods:
        spec = pod.object.get("spec") or {}
        model = models.get(mounted_config_map(spec, volume="model-config") or "")
        case_set = _read_mounted(spec, config_maps=config_maps)
        if model is None or case_set is None:
            continue
        order = AuditOrder(
            case_set=case_set,
            holdout=holdouts.get(model.space, NO_CASES),
            serving=model.serving,
            space=model.space,
            objection=_repeat_objection(pod) if objections is None else objections.get(model.space, ""),
        )
        wishes.append(AuditWish(pod=pod, order=order))
    return wishes


def _repeat_objection(pod: ObservedPod) -> str:
    """A pod that answers rightly and was told that it fails had been objected to."""
    answers_rightly = pod.audit is not None and pod.audit.state is GateState.PASSED
    was_failed = pod.report is not None and pod.report.verdict is GateState.FAILED
    return "as said before; the spec cannot be read now" if answers_rightly and was_failed else ""


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
