"""What every child has in common: name, labels, owner reference, and the hash of what we applied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedding_operator.api import names

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Owner:
    """The EmbeddingModel that controls the children."""

    namespace: str
    name: str
    uid: str


def build_child(
    owner: Owner,
    *,
    api_version: str,
    kind: str,
    name: str,
    component: str,
    space: str | None = None,
    annotations: Mapping[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A manifest with our metadata and, as annotation, the hash of all of it.

    Nothing of the user's metadata is copied: labels and annotations of GitOps tools on a child would make those tools
    adopt or prune it.
    """
    manifest: dict[str, Any] = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "namespace": owner.namespace,
            "name": name,
            "labels": child_labels(owner.name, component=component, space=space),
            "annotations": dict(annotations or {}),
            "ownerReferences": [
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        **fields,
    }
    manifest["metadata"]["annotations"][names.ANNOTATION_APPLIED] = names.hash10(manifest)
    return manifest


def child_labels(model: str, *, component: str, space: str | None = None) -> dict[str, str]:
    labels = {names.LABEL_MODEL: model, names.LABEL_COMPONENT: component}
    return labels if space is None else {**labels, names.LABEL_SPACE: space}
