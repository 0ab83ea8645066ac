"""Pod security "restricted" (Pod Security Standards), the same for every pod that we create."""

from typing import Any

# The user of the images, see Dockerfile.
UID = 65532


def pod_security() -> dict[str, Any]:
    """No fsGroup: the kubelet would change the ownership of every file on a user's volume."""
    return {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
