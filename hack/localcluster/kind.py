"""CLUSTER=kind: the cluster is kind's, in Docker or Podman; ours are its configuration, GPUs, images and audit log."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster import binaries, dockerbuild, layout
from localcluster.controlplane import AUDIT_POLICY
from localcluster.errors import ClusterError
from localcluster.locking import exclusive
from localcluster.node import gpu_patch
from localcluster.processes import run, succeeds
from localcluster.progress import say, step
from localcluster.report import Report

CLUSTER_NAME = "embedding-operator"
NODE = f"{CLUSTER_NAME}-control-plane"
_FOLDER = layout.CACHE / "kind"
_KUBECONFIG = _FOLDER / "kubeconfig"
_IMAGES = _FOLDER / "images.json"


class KindMode:
    """A kind cluster named embedding-operator. Its own default StorageClass and DNS are used as they are."""

    def up(self, *, control_plane_only: bool) -> None:
        """Create the cluster unless it is there. kind has no control plane without a node: the flag changes nothing."""
        kind, engine = _require_kind()
        with exclusive("cluster"):
            binaries.ensure_client_tool("kubectl")
            if CLUSTER_NAME not in run([kind, "get", "clusters"]).split():
                _write_configuration()
                with step(f"kind cluster on {engine}", usually="1 min, 3 min with its image to download"):
                    run(
                        [
                            *(kind, "create", "cluster", "--name", CLUSTER_NAME, "--wait", "120s"),
                            *("--kubeconfig", str(_KUBECONFIG), "--config", str(_FOLDER / "kind.json")),
                        ]
                    )
            elif not _KUBECONFIG.exists():
                # kind writes it last: the cluster is half of one, and its name is taken.
                raise ClusterError(
                    f"the kind cluster {CLUSTER_NAME} is incomplete: `CLUSTER=kind hack/cluster down`, then up"
                )
            self._offer_gpus()
            say(f"the cluster is up: export KUBECONFIG={_KUBECONFIG}")

    def _offer_gpus(self) -> None:
        """Count GPUs on the node, unless an `up` before this one has."""
        counted = self._kubectl("get", "node", NODE, "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}")
        if counted.strip() != str(layout.GPUS):
            self._kubectl(
                *("patch", "node", NODE, "--subresource=status", "--type=json", "-p", json.dumps(gpu_patch()))
            )

    def down(self) -> None:
        """Delete the cluster; the images stay with the engine."""
        kind, _ = _require_kind()
        with exclusive("cluster"), step("deleting the kind cluster", usually="10 s"):
            run([kind, "delete", "cluster", "--name", CLUSTER_NAME, "--kubeconfig", str(_KUBECONFIG)])
            shutil.rmtree(_FOLDER, ignore_errors=True)

    def status(self, *, with_disk: bool) -> Report:
        """State of the cluster as its API tells it."""
        running = _KUBECONFIG.exists() and succeeds(
            [
                *(str(binaries.binary("kubectl")), "--kubeconfig", str(_KUBECONFIG)),
                *("wait", "node", "--all", "--for=condition=Ready", "--timeout=2s"),
            ]
        )
        return Report(
            mode="kind",
            running=running,
            kubeconfig=str(_KUBECONFIG),
            auditLog=str(_FOLDER / "audit" / "audit.log"),
            tools={name: str(binaries.binary(name)) for name in binaries.CLIENT_TOOLS},
            images=_built(),
        )

    def kubeconfig(self) -> Path:
        """Path of the kubeconfig, which is ours: the person's own is not changed."""
        return _KUBECONFIG

    def build(self, targets: Sequence[str]) -> Mapping[str, str]:
        """Build with the engine and load into the node."""
        kind, engine = _require_kind()
        references = {}
        with exclusive("images"):
            for target in targets:
                with step(f"image {target}", usually="5 min, 20 s when only code has changed"):
                    references[target] = dockerbuild.build(
                        target, engine=engine, repository=f"localhost/{layout.IMAGE_PREFIX}/{target}"
                    )
                    self._load(references[target], kind=kind)
            _FOLDER.mkdir(parents=True, exist_ok=True)
            _IMAGES.write_text(json.dumps({**_built(), **references}, indent=1))
        return references

    def load(self, image: str) -> str:
        """Copy an image of the engine, or an archive, into the node."""
        kind, _ = _require_kind()
        self._load(image, kind=kind)
        return image

    def push_folder(self, folder: Path, *, name: str, path: str) -> str:
        """There is no registry of the cluster's own. Raises ClusterError."""
        raise ClusterError(
            "push-image is for CLUSTER=local; build an image with `FROM scratch` and `COPY` of the folder, and push it"
            " to a registry that the cluster reaches"
        )

    def _load(self, image: str, *, kind: str) -> None:
        what = "image-archive" if Path(image).is_file() else "docker-image"
        run([kind, "load", what, image, "--name", CLUSTER_NAME])

    def _kubectl(self, *arguments: str) -> str:
        return run([str(binaries.binary("kubectl")), "--kubeconfig", str(_KUBECONFIG), *arguments])


def _built() -> dict[str, str]:
    try:
        images: dict[str, str] = json.loads(_IMAGES.read_text())
    except FileNotFoundError:
        return {}
    return images


def _require_kind() -> tuple[str, str]:
    """Paths of kind and of the container engine. Raises ClusterError that names what is missing."""
    kind = shutil.which("kind")
    wanted = os.environ.get("KIND_EXPERIMENTAL_PROVIDER")
    engine = next((name for name in ([wanted] if wanted else ["docker", "podman"]) if shutil.which(name)), None)
    if not kind or not engine:
        missing = " and ".join(name for name, found in (("kind", kind), ("docker (or podman)", engine)) if not found)
        raise ClusterError(f"CLUSTER=kind needs {missing} on PATH: see https://kind.sigs.k8s.io")
    if not succeeds([engine, "info"]):
        raise ClusterError(f"{engine} is installed but does not answer `{engine} info`: start it")
    return kind, engine


def _write_configuration() -> None:
    """kind's configuration: the audit log of the API server lies in a folder of this machine."""
    audit = _FOLDER / "audit"
    audit.mkdir(parents=True, exist_ok=True)
    (_FOLDER / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY, indent=1))
    api_server = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {
                "audit-policy-file": "/etc/kubernetes/audit/policy.json",
                "audit-log-path": "/var/log/kubernetes/audit.log",
                "audit-log-mode": "blocking-strict",
            },
            "extraVolumes": [
                {
                    "name": "audit-policy",
                    "hostPath": "/etc/kubernetes/audit",
                    "mountPath": "/etc/kubernetes/audit",
                    "readOnly": True,
                    "pathType": "DirectoryOrCreate",
                },
                {
                    "name": "audit-log",
                    "hostPath": "/var/log/kubernetes",
                    "mountPath": "/var/log/kubernetes",
                    "pathType": "DirectoryOrCreate",
                },
            ],
        },
    }
    configuration = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {
                "role": "control-plane",
                "kubeadmConfigPatches": [json.dumps(api_server)],
                "extraMounts": [
                    {
                        "hostPath": str(_FOLDER / "audit-policy.json"),
                        "containerPath": "/etc/kubernetes/audit/policy.json",
                        "readOnly": True,
                    },
                    {"hostPath": str(audit), "containerPath": "/var/log/kubernetes"},
                ],
            }
        ],
    }
    (_FOLDER / "kind.json").write_text(json.dumps(configuration, indent=1))
