"""The checks of one group of clients inside a pod, which knows the servers by the DNS names of their Services alone.

The pod sees the group's environment and the checks where this machine has them, read-only: the local cluster's node is
this machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client_groups import BUILD, CHECKS, JAVASCRIPT, ROOT, ChecksEnded, build_group, node_command, python_arguments
from live_cluster import LiveCluster

DOCUMENTATION = ROOT / "docs"
# The base image's own Python, and not that of the runtime's virtual environment: only the group's packages are there.
FIND_PYTHON = 'exec "$(PATH=/usr/local/bin:/usr/bin:/bin command -v python3)" "$@"'
LONGEST_SECONDS = 600


def run_group_in_a_pod(
    group: str, *, cluster: LiveCluster, namespace: str, image: str, environment: Mapping[str, str]
) -> ChecksEnded:
    """Build the group's environment, and run its checks in a pod of `image`.

    `environment`: the servers, as tests/clients/python/support/service.py reads them. The folder of the expectations
    must be readable for everybody: the pod runs as the image's user.
    """
    build_group(group)
    name = f"client-{group}"
    cluster.apply(_pod(name, group=group, namespace=namespace, image=image, environment=environment))

    def ended() -> str | None:
        phase = cluster.must_get("pod", name, namespace=namespace)["status"]["phase"]
        return phase if phase in ("Succeeded", "Failed") else None

    phase = cluster.wait_for(f"the checks of {group} have ended", ended, seconds=LONGEST_SECONDS)
    output = cluster.kubectl("logs", name, "-n", namespace)
    cluster.delete("pod", name, namespace=namespace, wait=False)
    return ChecksEnded(status=0 if phase == "Succeeded" else 1, output=output)


def _pod(name: str, *, group: str, namespace: str, image: str, environment: Mapping[str, str]) -> Mapping[str, Any]:
    # The snippets of the documentation are checked too.
    folders = (BUILD / group, CHECKS, DOCUMENTATION, Path(environment["EXPECTATIONS"]).parent)
    if group == JAVASCRIPT:
        command, variables = list(node_command(BUILD / group)), environment
    else:
        (packages,) = (BUILD / group).glob("lib/python3*/site-packages")
        command = ["/bin/sh", "-c", FIND_PYTHON, "sh", *python_arguments(group)]
        variables = {**environment, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "checks",
                    "image": image,
                    "command": command,
                    "env": [{"name": key, "value": value} for key, value in variables.items()],
                    "volumeMounts": [
                        {"name": f"folder-{number}", "mountPath": str(folder), "readOnly": True}
                        for number, folder in enumerate(folders)
                    ],
                }
            ],
            "volumes": [
                {"name": f"folder-{number}", "hostPath": {"path": str(folder), "type": "Directory"}}
                for number, folder in enumerate(folders)
            ],
        },
    }
