"""PersistentVolumeClaims of end-to-end tests, filled and changed by pods, as users do it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from live_cluster import LiveCluster, Object


@dataclass(frozen=True)
class Claim:
    """A claim of one namespace. `image` is any that has Python."""

    cluster: LiveCluster
    namespace: str
    name: str
    image: str

    def create(self) -> None:
        self.cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        )

    def fill(self, folder: Path, *, path: str) -> None:
        """Copy a folder of this machine to `path` on the volume, in place of what is there."""
        self.run(
            f"import shutil; shutil.rmtree('/to{path}', ignore_errors=True); shutil.copytree('/from', '/to{path}')",
            folder=folder,
        )

    def run(self, script: str, *, folder: Path | None = None) -> str:
        """Run Python in a pod with the volume at /to and `folder` at /from; what it printed."""
        self.cluster.apply(self._pod(script, folder=folder))
        name = f"{self.name}-worker"

        def ended() -> str | None:
            phase = str(self.cluster.must_get("pod", name, namespace=self.namespace)["status"]["phase"])
            return phase if phase in ("Succeeded", "Failed") else None

        phase = self.cluster.wait_for("the pod has worked on the volume", ended, seconds=120)
        log = self.cluster.kubectl("logs", name, "-n", self.namespace)
        assert phase == "Succeeded", log
        self.cluster.delete("pod", name, namespace=self.namespace)
        return log

    def _pod(self, script: str, *, folder: Path | None) -> Object:
        volumes: list[Mapping[str, object]] = [
            {"name": "to", "persistentVolumeClaim": {"claimName": self.name}},
        ]
        mounts: list[Mapping[str, object]] = [{"name": "to", "mountPath": "/to"}]
        if folder is not None:
            volumes.append({"name": "from", "hostPath": {"path": str(folder)}})
            mounts.append({"name": "from", "mountPath": "/from", "readOnly": True})
        container = {
            "name": "work",
            "image": self.image,
            "securityContext": {"runAsUser": 0},
            "command": ["/opt/venv/bin/python", "-c", script],
            "volumeMounts": mounts,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{self.name}-worker", "namespace": self.namespace},
            "spec": {"restartPolicy": "Never", "containers": [container], "volumes": volumes},
        }
