"""ConfigMaps that nothing names any more."""

from collections.abc import Iterator, Sequence
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

    None while a rollout is under way: an old ReplicaSet, which we do not read, may still start a pod that mounts one.
    """
    if any(not _is_settled(item) for item in snapshot.children.deployments):
        return []
    named = set(_list_named(snapshot))
    return [
        item
        for item in snapshot.children.config_maps
        if (item["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) in _CONTENT_NAMED
        and ("ConfigMap", item["metadata"]["name"]) not in wanted
        and item["metadata"]["name"] not in named
    ]


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
