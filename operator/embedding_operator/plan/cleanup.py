"""ConfigMaps that nothing names any more."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from embedding_operator.api import names
from embedding_operator.judge.generations import list_config_maps, pod_spec
from embedding_operator.judge.judgement import Judgement
from embedding_operator.observe.snapshot import Object, Snapshot
from embedding_operator.observe.vouched import is_stored


def find_unnamed(
    snapshot: Snapshot, *, judgement: Judgement, wanted: Mapping[tuple[str, str], Object]
) -> Sequence[Object]:
    """Those that no wanted manifest is and that no pod and no Deployment names, there or wanted; whoever wrote them.

    What the reference implementation computed is named by every generation of its space, be it without pods.
    None while a rollout is under way: an old ReplicaSet, which we do not read, may still start a pod that mounts one.
    """
    if any(not _is_settled(item) for item in snapshot.children.deployments):
        return []
    spaces = {*judgement.generations, *(part.target.space for part in judgement.all if part.target)}
    named = {*_list_named(snapshot, wanted=wanted.values()), *_list_references(snapshot, spaces=spaces)}
    return [
        item
        for item in [*snapshot.children.config_maps, *snapshot.planted]
        if is_stored(item)
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


def _list_named(snapshot: Snapshot, *, wanted: Iterable[Object]) -> Iterator[str]:
    for deployment in [*snapshot.children.deployments, *(item for item in wanted if item["kind"] == "Deployment")]:
        yield (deployment["metadata"].get("annotations") or {}).get(names.ANNOTATION_TEMPLATE, "")
        yield from list_config_maps(pod_spec(deployment))
    for pod in snapshot.pods:
        if not pod.has_ended:
            yield from list_config_maps(pod.object.get("spec") or {})
