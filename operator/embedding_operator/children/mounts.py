"""Volumes of our pods, and where containers see them."""

from collections.abc import Sequence
from typing import Any, Final

from embedding_model import ports
from embedding_model.resolved import Origin, SourceKind
from embedding_operator.api import names

MODEL_MOUNT: Final = "/models"
SOURCE_MOUNT: Final = "/source"  # files as they are on a claim or in an image, where the pod converts them
CACHE_MOUNT: Final = "/cache"
WORK_MOUNT: Final = "/work"
CONFIG_MOUNT: Final = "/etc/embedding/model"
GOLDENS_MOUNT: Final = "/etc/embedding/goldens"
KEYS_MOUNT: Final = "/etc/embedding/keys"
TMP_MOUNT: Final = "/tmp"  # noqa: S108 - an emptyDir
TMP_LIMIT: Final = "1Gi"


def mount(name: str, *, path: str, read_only: bool = True) -> dict[str, Any]:
    return {"name": name, "mountPath": path, "readOnly": True} if read_only else {"name": name, "mountPath": path}


def temporary_mount() -> dict[str, Any]:
    return mount("tmp", path=TMP_MOUNT, read_only=False)


def mounted_volume(name: str, *, origin: Origin) -> dict[str, Any]:
    """The whole claim or image, read-only, without a subPath: the kubelet would create a missing one on the user's
    volume."""
    if origin.kind is SourceKind.IMAGE:
        return {"name": name, "image": {"reference": str(origin.image), "pullPolicy": "IfNotPresent"}}
    return {"name": name, "persistentVolumeClaim": {"claimName": str(origin.claim), "readOnly": True}}


def folder_below(root: str, *, origin: Origin) -> str:
    """The model's folder of a claim or image that is mounted at `root`."""
    folder = (origin.path or "/").strip("/")
    return f"{root}/{folder}" if folder else root


def cache_volume(claim: str) -> dict[str, Any]:
    return {"name": names.VOLUME_CACHE, "persistentVolumeClaim": {"claimName": claim}}


def empty_volume(name: str, *, limit: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"sizeLimit": limit}}


def keys_volume(model: str) -> dict[str, Any]:
    return {"name": "keys", "configMap": {"name": names.keys_configmap_name(model), "optional": True}}


def goldens_volume(config_maps: Sequence[str]) -> dict[str, Any]:
    """Golden cases as files 0.jsonl, 1.jsonl, ...: read one after the other they are the case set."""
    sources = [
        {"configMap": {"name": name, "items": [{"key": ports.GOLDENS_FILE, "path": f"{number}.jsonl"}]}}
        for number, name in enumerate(config_maps)
    ]
    return {"name": names.VOLUME_GOLDENS, "projected": {"sources": sources}}


def temporary_volume() -> dict[str, Any]:
    return empty_volume("tmp", limit=TMP_LIMIT)
