"""The hub as the cluster's commands see it: where it would listen, and how it is stopped."""

from __future__ import annotations

from localcluster import layout, network
from localcluster.processes import succeeds


def hub_url() -> str:
    """URL of the hub: on the cluster's address when there is one, else on loopback."""
    host = layout.ADDRESS if network.has_address() else "127.0.0.1"
    return f"http://{host}:{layout.HUB_PORT}"


def stop_hub() -> None:
    """Stop the hub before the address goes away that it listens on."""
    if layout.HUB_STATE.exists():
        succeeds([str(layout.REPOSITORY / "hack" / "cluster"), "hub", "stop"])
