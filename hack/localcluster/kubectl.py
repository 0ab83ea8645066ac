"""kubectl against the local cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcluster import layout
from localcluster.binaries import binary
from localcluster.processes import run


def kubectl(arguments: Sequence[str], *, stdin: str | None = None, kubeconfig: Path = layout.KUBECONFIG) -> str:
    """Run kubectl and answer its output. Raises ClusterError with what kubectl said when it fails."""
    return run([str(binary("kubectl")), "--kubeconfig", str(kubeconfig), *arguments], stdin=stdin)


def apply(manifest: Mapping[str, object], *, kubeconfig: Path = layout.KUBECONFIG) -> None:
    """Apply one manifest on the server's side."""
    kubectl(
        ["apply", "--server-side", "--force-conflicts", "--field-manager=local-cluster", "-f", "-"],
        stdin=json.dumps(manifest),
        kubeconfig=kubeconfig,
    )
