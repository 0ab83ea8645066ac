"""Which ConfigMaps that claim to be ours hold what we wrote.

What they hold decides: a template becomes a Deployment, a resolved model names the bytes, golden cases judge pods.
Whoever may write ConfigMaps in a namespace can make one with our labels and owner, or delete one of ours and make it
again with another content; ten digits of a hash in its name stop nobody who can spend an hour of a GPU. So the status,
which only the operator writes, holds the sha256 of each. Any other ConfigMap counts as absent.

An older version wrote no such list: what is there when the first one is written is taken as it is.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from embedding_operator.api import names
from embedding_operator.api.status import EmbeddingModelStatus, StoredStatus

# Immutable, and named by their content.
STORED_COMPONENTS: Final = frozenset(
    {names.COMPONENT_MODEL, names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT, names.COMPONENT_TEMPLATE}
)
# What counts beside the data: these say of what the data is. `immutable` protects neither labels nor annotations.
_LABELS: Final = (names.LABEL_COMPONENT, names.LABEL_SPACE)
_ANNOTATIONS: Final = (
    names.ANNOTATION_REQUEST,
    names.ANNOTATION_FOLLOWED,
    names.ANNOTATION_REFERENCE,
    names.ANNOTATION_INPUTS,
)


def is_stored(item: Mapping[str, Any]) -> bool:
    """Whether it is, or claims to be, one of the ConfigMaps that are named by their content."""
    return (
        item["kind"] == "ConfigMap"
        and (item["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) in STORED_COMPONENTS
    )


def digest(config_map: Mapping[str, Any]) -> str:
    """sha256:<64 hex> of everything in it that we read. Equal for a manifest and the live object made from it."""
    content = orjson.dumps(_read_content(config_map), option=orjson.OPT_SORT_KEYS)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _read_content(config_map: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = config_map["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return {
        "name": metadata["name"],
        "labels": {key: labels[key] for key in _LABELS if labels.get(key)},
        "annotations": {key: annotations[key] for key in _ANNOTATIONS if key in annotations},
        "data": config_map.get("data") or {},
    }


def split_vouched(
    config_maps: Iterable[Mapping[str, Any]], *, before: EmbeddingModelStatus
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Those that may be used, and those that are none of ours. `before`: the status."""
    known = {item.name: item.digest for item in before.stored or ()}
    is_older = before.stored is None and before.model is not None
    vouched: list[Mapping[str, Any]] = []
    planted: list[Mapping[str, Any]] = []
    for item in config_maps:
        is_ours = is_older or not is_stored(item) or known.get(item["metadata"]["name"]) == digest(item)
        (vouched if is_ours else planted).append(item)
    return vouched, planted


def list_stored(
    config_maps: Iterable[Mapping[str, Any]],
    *,
    manifests: Iterable[Mapping[str, Any]],
    before: Sequence[StoredStatus] | None,
) -> tuple[StoredStatus, ...] | None:
    """For the status: of the `config_maps` that may be used, and of the `manifests` that are wanted now.

    A status that names a resolved model has some, and keeps them for want of others: by having none, one that an older
    version wrote is told.
    """
    known = {item.name: item.digest for item in before or ()}  # of each that may be used, if there is such a list
    live = {item["metadata"]["name"]: item for item in config_maps if is_stored(item)}
    found = {name: known.get(name) or digest(item) for name, item in live.items()}
    for item in manifests:
        name = item["metadata"]["name"]
        # What is there already is compared, which costs a hundredth of a hash.
        if is_stored(item) and (name not in live or _read_content(item) != _read_content(live[name])):
            found[name] = digest(item)
    stored = tuple(StoredStatus(name=name, digest=found[name]) for name in sorted(found))
    return stored or tuple(before or ()) or None
