"""Snapshot and wanted manifests -> Plan: only what differs is written, and only what is ours is touched."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedding_operator.api import names
from embedding_operator.api.reasons import Reason
from embedding_operator.judge.generations import list_config_maps, pod_spec
from embedding_operator.judge.judgement import Judgement
from embedding_operator.judge.quarantine import Quarantine
from embedding_operator.judge.verdict import RECHECK_SECONDS, State, Verdict, stalled, waiting
from embedding_operator.observe.snapshot import Object, ObservedPod, Snapshot
from embedding_operator.plan.cleanup import find_unnamed
from embedding_operator.plan.compare import contains
from embedding_operator.plan.plan import Delete, Isolate, Manifest, Plan

Identity = tuple[str, str]


@dataclass(frozen=True)
class Planned:
    """`obstacle`: an object in the way of a child. Everything else is planned all the same, but that what serves keeps
    its pods (`keeps_serving`) where what is to come instead may be what cannot be written.

    `kept`: to be written in the place of the manifest of its name, once a write has failed.
    """

    plan: Plan
    obstacle: Verdict | None = None
    keeps_serving: bool = False
    kept: Manifest | None = None


def make_plan(
    snapshot: Snapshot, *, judgement: Judgement, manifests: Sequence[Manifest], kept: Manifest | None = None
) -> Planned:
    """`kept` is children.desired.Desired's."""
    live = {identify(item): item for item in snapshot.children.all()}
    foreign = {identify(item) for item in snapshot.foreign}
    leftover = {identify(item) for item in snapshot.leftover}
    planted = {identify(item): item for item in snapshot.planted}
    apply: list[Manifest] = []
    obstacles: list[Verdict] = []
    forged: list[Object] = []
    held_up: set[Identity] = set()
    for manifest in manifests:
        identity = identify(manifest)
        current = live.get(identity)
        if identity in foreign:
            obstacles.append(describe_conflict(*identity))
            held_up.add(identity)
        elif identity in leftover or (current and current["metadata"].get("deletionTimestamp")):
            obstacles.append(_describe_ending(*identity))
            held_up.add(identity)
        elif identity in planted and planted[identity].get("data") != manifest["data"]:
            forged.append(planted[identity])
            obstacles.append(_describe_forged(*identity))
        elif current is None or not is_current(current, manifest=manifest):
            apply.append(manifest)
    wanted = {identify(manifest): manifest for manifest in manifests}
    # Pods need no budget, and a Job that ends makes room for the next.
    is_blocked = bool(forged) or any(
        kind != "PodDisruptionBudget" and (kind != "Job" or (kind, name) in foreign) for kind, name in held_up
    )
    keeps_serving = kept is not None and is_blocked and identify(kept) not in held_up
    if kept is not None and keeps_serving:
        apply = list(_put_in_place(apply, kept=kept, live=live))
    missing = {name for kind, name in held_up if kind == "ConfigMap"}
    return Planned(
        plan=Plan(
            isolate=_plan_isolation(judgement.quarantine),
            replace=[_replace(pod, quarantine=judgement.quarantine) for pod in judgement.quarantine.delete],
            apply=[] if forged else _without_mounting(apply, missing=missing),  # no pod may start with them meanwhile
            delete=[
                *(_delete(item, why="it does not hold what we wrote") for item in forged),
                *_plan_deletions(snapshot, judgement=judgement, wanted=wanted),
            ],
        ),
        obstacle=min(obstacles, key=lambda item: item.state is not State.STALLED, default=None),
        keeps_serving=keeps_serving,
        kept=kept,
    )


def _put_in_place(apply: Iterable[Manifest], *, kept: Manifest, live: Mapping[Identity, Object]) -> Iterator[Manifest]:
    """`apply` with `kept` instead of the manifest of its name, and without either where `kept` is what is there."""
    yield from (item for item in apply if identify(item) != identify(kept))
    if (current := live.get(identify(kept))) is None or not is_current(current, manifest=kept):
        yield kept


def _without_mounting(apply: Sequence[Manifest], *, missing: Container[str]) -> list[Manifest]:
    """All but what would start pods that mount one of these ConfigMaps."""
    return [item for item in apply if not _is_mounting(item, missing=missing)]


def _is_mounting(item: Manifest, *, missing: Container[str]) -> bool:
    has_pods = item["kind"] in ("Deployment", "Job")
    return has_pods and any(name in missing for name in list_config_maps(pod_spec(item)))


def identify(item: Mapping[str, Any]) -> Identity:
    return item["kind"], item["metadata"]["name"]


def is_current(live: Object, *, manifest: Manifest) -> bool:
    """Whether applying `manifest` would change nothing. A Job's template is immutable: it is never written again."""
    if manifest["kind"] == "Job":
        return True
    annotations = live["metadata"].get("annotations") or {}
    applied = manifest["metadata"]["annotations"][names.ANNOTATION_APPLIED]
    return annotations.get(names.ANNOTATION_APPLIED) == applied and contains(live, wanted=manifest)


def describe_conflict(kind: str, name: str) -> Verdict:
    message = (
        f"{kind} {name} exists and is not controlled by this EmbeddingModel: it is never touched. "
        "Delete or rename it, or rename the EmbeddingModel"
    )
    return stalled(Reason.CONFLICT, message, recheck_seconds=RECHECK_SECONDS)


def _describe_ending(kind: str, name: str) -> Verdict:
    return waiting(Reason.TERMINATING, f"{kind} {name} is being deleted", recheck_seconds=RECHECK_SECONDS)


def _describe_forged(kind: str, name: str) -> Verdict:
    message = f"{kind} {name} does not hold what this operator wrote: it is deleted, and made anew"
    return waiting(Reason.TERMINATING, message, recheck_seconds=RECHECK_SECONDS)


def _plan_isolation(quarantine: Quarantine) -> Sequence[Isolate]:
    return [
        Isolate(namespace=pod.ref.key.namespace, name=pod.name, uid=pod.ref.uid, why=quarantine.replaced[pod.name])
        for pod in quarantine.label
    ]


def _replace(pod: ObservedPod, *, quarantine: Quarantine) -> Delete:
    return Delete(
        kind="Pod",
        namespace=pod.ref.key.namespace,
        name=pod.name,
        uid=pod.ref.uid,
        why=quarantine.replaced[pod.name],
    )


def _plan_deletions(
    snapshot: Snapshot, *, judgement: Judgement, wanted: Mapping[Identity, Manifest]
) -> Sequence[Delete]:
    expired = set(judgement.traffic.expired)
    doomed: list[tuple[Object, str]] = [
        (generation.deployment, "retired longer than the generations that are kept")
        for space, generation in judgement.generations.items()
        if space in expired and generation.deployment is not None
    ]
    kept = wanted.keys() | {("Job", name) for part in judgement.all for name in part.kept_jobs}
    doomed += [(job, "it has done its work or had its time") for job in _unwanted(snapshot.children.jobs, kept)]
    doomed += [
        (service, "what it was for is approved and moved to, or taken back")
        for service in _unwanted(snapshot.children.services, wanted)
        if names.LABEL_SPACE in (service["metadata"].get("labels") or {})
    ]
    if judgement.model.resolved is not None:
        budgets = _unwanted(snapshot.children.disruption_budgets, wanted)
        doomed += [(budget, "one replica needs no budget") for budget in budgets]
        doomed += [(item, "nothing names it") for item in find_unnamed(snapshot, judgement=judgement, wanted=wanted)]
    return [_delete(item, why=why) for item, why in doomed if not item["metadata"].get("deletionTimestamp")]


def _unwanted(items: Iterable[Object], wanted: Container[Identity]) -> Iterable[Object]:
    return (item for item in items if identify(item) not in wanted)


def _delete(item: Object, *, why: str) -> Delete:
    metadata = item["metadata"]
    return Delete(
        kind=item["kind"], namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"], why=why
    )
