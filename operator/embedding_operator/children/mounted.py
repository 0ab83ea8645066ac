"""ConfigMaps that pods of a generation mount, and that the spec of today does not lead to.

A generation that serves on while another one is asked for, or cannot be made, mounts a resolved model and golden cases
of which nothing else holds the content. They are noted while they are there; one that a hand deletes is restored.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from embedding_operator.api import names
from embedding_operator.judge.generations import Generation, list_mounted, pod_spec
from embedding_operator.observe.snapshot import Object, Snapshot

_VOLUMES: Final = ("model-config", names.VOLUME_GOLDENS)


@dataclass(frozen=True)
class Mounted:
    """`seen`: those that are there, or were, by name. `deleted`: those of them that are not there any more.

    `lost`: names of those that are not there and that nobody has seen, by the space of the generation that mounts them.
    """

    seen: Mapping[str, Object] = field(default_factory=dict)
    deleted: Mapping[str, Object] = field(default_factory=dict)
    lost: Mapping[str, Collection[str]] = field(default_factory=dict)


def find_mounted(snapshot: Snapshot, *, generations: Mapping[str, Generation], rendered: Collection[str]) -> Mounted:
    """Of the generations that are to have pods; `rendered` are names of ConfigMaps that the spec of today leads to."""
    live = {item["metadata"]["name"]: item for item in snapshot.children.config_maps}
    known = {**snapshot.documents, **live}
    wanted = {
        space: _list_documents(item.deployment) - set(rendered)
        for space, item in generations.items()
        if item.deployment is not None and item.replicas > 0
    }
    seen = {name: known[name] for found in wanted.values() for name in sorted(found & known.keys())}
    return Mounted(
        seen=seen,
        deleted={name: item for name, item in seen.items() if name not in live},
        lost={space: sorted(found - known.keys()) for space, found in wanted.items() if found - known.keys()},
    )


def _list_documents(deployment: Object) -> set[str]:
    spec = pod_spec(deployment)
    return {name for volume in _VOLUMES for name in list_mounted(spec, volume=volume)}
