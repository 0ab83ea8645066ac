"""The hub as the cluster's commands see it: where it would listen, and how it is stopped."""

from __future__ import annotations

from localcluster import layout
from localcluster.hub import daemon


def hub_url() -> str:
    """URL of the hub: on the cluster's address when there is one, else on loopback."""
    return f"http://{daemon.default_host()}:{layout.HUB_PORT}"


def stop_hub() -> None:
    """Stop the hub before the address goes away that it listens on."""
    daemon.stop(layout.HUB_STATE)
