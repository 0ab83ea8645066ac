"""Pod security "restricted" (Pod Security Standards), the same for every pod that we create."""

from typing import Any

# The user of the images, see Dockerfile.
UID = 65532


def pod_security(*, has_cache: bool = False) -> dict[str, Any]:
    """No fsGroup: the kubelet would change the ownership of every file on a user's volume.

    But with a cache: a fresh block volume belongs to root, and nobody else could write to it. The kubelet then changes
    a volume once, and by the default of CSI drivers only one that a single node mounts; never one mounted read-only.
    """
    context: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {**context, "fsGroup": UID, "fsGroupChangePolicy": "OnRootMismatch"} if has_cache else context


def container_security() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
