"""The three places a cluster can come from, behind one set of commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from localcluster.errors import ClusterError
from localcluster.report import Report


class Mode(Protocol):
    """What every kind of cluster can do. All methods raise ClusterError with what to do about it."""

    def up(self, *, control_plane_only: bool) -> None:
        """Bring the cluster up; does nothing when it is."""

    def down(self) -> None:
        """Take away what `up` made."""

    def status(self, *, with_disk: bool) -> Report:
        """What runs and where things are."""

    def kubeconfig(self) -> Path:
        """Path of the kubeconfig."""

    def build(self, targets: Sequence[str]) -> Mapping[str, str]:
        """Build images; answers target -> reference that the cluster's nodes can pull or already hold."""

    def load(self, image: str) -> str:
        """Make an image known to the nodes; answers the reference to use in a pod."""

    def push_folder(self, folder: Path, *, name: str, path: str) -> str:
        """Push a model's folder as an image of data to the cluster's own registry; answers its reference."""


def chosen_mode() -> Mode:
    """The mode that the environment variable CLUSTER names: local (default), kind or current."""
    from localcluster.current import CurrentMode
    from localcluster.kind import KindMode
    from localcluster.local import LocalMode

    modes: dict[str, type[Mode]] = {"local": LocalMode, "kind": KindMode, "current": CurrentMode}
    name = os.environ.get("CLUSTER") or "local"
    if name not in modes:
        raise ClusterError(f"CLUSTER={name}: expected one of {', '.join(modes)}")
    return modes[name]()
