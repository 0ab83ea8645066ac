"""What `make demo` and `make test` need of a cluster beyond `hack/cluster`: addresses that this machine reaches."""

from __future__ import annotations

import os
import sys


def require_local_mode(command: str) -> None:
    """End with one line when CLUSTER names another mode than local.

    Both reach Services by their ClusterIP and let pods load models from a hub on this machine.
    """
    mode = os.environ.get("CLUSTER") or "local"
    if mode != "local":
        sys.exit(
            f"{command} needs the local cluster, and CLUSTER={mode} names another: unset CLUSTER. "
            "hack/cluster up, down, build, load and status work with kind and current."
        )
