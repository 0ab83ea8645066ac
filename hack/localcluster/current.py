"""CLUSTER=current: a cluster that somebody else runs. Nothing of it is changed but what is pushed to its registry."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster import binaries, dockerbuild, layout
from localcluster.errors import ClusterError
from localcluster.locking import exclusive
from localcluster.processes import run, succeeds
from localcluster.progress import say, step
from localcluster.report import Report

_IMAGES = layout.CACHE / "current-images.json"


class CurrentMode:
    """The current context of the person's kubeconfig."""

    def up(self, *, control_plane_only: bool) -> None:
        """Make sure that the cluster answers; it is not changed."""
        kubectl = binaries.ensure_client_tool("kubectl")
        context = run([str(kubectl), *self._options(), "config", "current-context"]).strip()
        run([str(kubectl), *self._options(), "--request-timeout=10s", "get", "--raw", "/readyz"])
        say(f"using context {context} of {self.kubeconfig()}; nothing in it was changed")

    def down(self) -> None:
        """Nothing: what `up` did not make, `down` does not take away."""
        say("CLUSTER=current: the cluster is left as it is")

    def status(self, *, with_disk: bool) -> Report:
        """Whether the cluster answers."""
        kubectl = binaries.binary("kubectl")
        return Report(
            mode="current",
            running=succeeds([str(kubectl), *self._options(), "--request-timeout=5s", "get", "--raw", "/readyz"]),
            kubeconfig=str(self.kubeconfig()),
            registry=os.environ.get("REGISTRY"),
            tools={name: str(binaries.binary(name)) for name in binaries.CLIENT_TOOLS},
            images=_built(),
        )

    def kubeconfig(self) -> Path:
        """The person's kubeconfig: KUBECONFIG (one file) or ~/.kube/config."""
        named = os.environ.get("KUBECONFIG")
        if named and os.pathsep in named:
            raise ClusterError(
                "KUBECONFIG names several files: make one of them, for example "
                "`kubectl config view --flatten --minify > cluster.conf`, and set KUBECONFIG to it"
            )
        path = Path(named) if named else Path.home() / ".kube" / "config"
        if not path.is_file():
            raise ClusterError(f"CLUSTER=current: no kubeconfig at {path}; set KUBECONFIG to yours")
        return path

    def build(self, targets: Sequence[str]) -> Mapping[str, str]:
        """Build with Docker or Podman and push to the registry that REGISTRY names."""
        engine, registry = _require_engine(), _require_registry()
        references = {}
        with exclusive("images"):
            for target in targets:
                with step(f"image {target}", usually="5 min, 20 s when only code has changed"):
                    repository = f"{registry}/{target}"
                    references[target] = dockerbuild.build(target, engine=engine, repository=repository)
                    run([engine, "push", references[target]])
            _IMAGES.write_text(json.dumps({**_built(), **references}, indent=1))
        return references

    def load(self, image: str) -> str:
        """Push an image of the engine to the registry that REGISTRY names."""
        engine, registry = _require_engine(), _require_registry()
        reference = f"{registry}/{image.rpartition('/')[2]}"
        run([engine, "tag", image, reference])
        run([engine, "push", reference])
        return reference

    def push_folder(self, folder: Path, *, name: str, path: str) -> str:
        """There is no registry of the cluster's own. Raises ClusterError."""
        raise ClusterError(
            "push-image is for CLUSTER=local; build an image with `FROM scratch` and `COPY` of the folder, and push it"
            " to a registry that the cluster reaches"
        )

    def _options(self) -> list[str]:
        return ["--kubeconfig", str(self.kubeconfig())]


def _built() -> dict[str, str]:
    try:
        images: dict[str, str] = json.loads(_IMAGES.read_text())
    except FileNotFoundError:
        return {}
    return images


def _require_engine() -> str:
    engine = next((name for name in ("docker", "podman") if shutil.which(name)), None)
    if not engine:
        raise ClusterError("building images for CLUSTER=current needs docker or podman on PATH")
    return engine


def _require_registry() -> str:
    registry = os.environ.get("REGISTRY", "").rstrip("/")
    if not registry:
        raise ClusterError(
            "CLUSTER=current: set REGISTRY to a registry path that the cluster pulls from and you may push to, "
            "for example REGISTRY=registry.example.com/team/embedding-operator"
        )
    return registry
