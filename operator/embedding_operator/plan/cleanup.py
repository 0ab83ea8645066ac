"""ConfigMaps that nothing names any more."""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from embedding_operator.api import names
from embedding_operator.judge.generations import list_config_maps, pod_spec
from embedding_operator.judge.judgement import Judgement
from embedding_operator.observe.snapshot import Object, Snapshot

_CONTENT_NAMED: Final = frozenset(
    {names.COMPONENT_MODEL, names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT, names.COMPONENT_TEMPLATE}
)


def find_unnamed(snapshot: Snapshot, *, judgement: Judgement, wanted: set[tuple[str, str]]) -> Sequence[Object]:
    """Those that no wanted manifest is, and that no pod and no Deployment names.

    What the reference implementation computed is named by every generation of its space, be it without pods.
    None while a rollout is under way: an old ReplicaSet, which we do not read, may still start a pod that mounts one.
    """
    if any(not _is_settled(item) for item in snapshot.children.deployments):
        return []
    spaces = {*judgement.generations, *(part.target.space for part in judgement.all if part.target)}
    named = {*_list_named(snapshot), *_list_references(snapshot, spaces=spaces)}
    return [
        item
        for item in snapshot.children.config_maps
        if (item["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) in _CONTENT_NAMED
        and ("ConfigMap", item["metadata"]["name"]) not in wanted
        and item["metadata"]["name"] not in named
    ]


def _list_references(snapshot: Snapshot, *, spaces: Collection[str]) -> Iterator[str]:
    for reference in snapshot.references:
        if reference.space in spaces:
            yield from reference.config_maps


def _is_settled(deployment: Object) -> bool:
    status = deployment.get("status") or {}
    if int(status.get("observedGeneration", 0)) < int(deployment["metadata"].get("generation", 0)):
        return False
    return int(status.get("updatedReplicas", 0)) == int(status.get("replicas", 0))


def _list_named(snapshot: Snapshot) -> Iterator[str]:
    for deployment in snapshot.children.deployments:
        yield (deployment["metadata"].get("annotations") or {}).get(names.ANNOTATION_TEMPLATE, "")
        yield from list_config_maps(pod_spec(deployment))
    for pod in snapshot.pods:
        if not pod.has_ended:
            yield from list_config_maps(pod.object.get("spec") or {})
