"""PodDisruptionBudget: a node drain takes one serving pod at a time."""

from typing import Any

from embedding_operator.api import names
from embedding_operator.children.metadata import Owner, build_child
from embedding_operator.children.service import server_selector

MIN_REPLICAS = 2  # with one replica a budget would only block node drains


def disruption_budget(owner: Owner, *, space: str) -> dict[str, Any]:
    """Unhealthy pods may always be evicted: an unverified pod serves nobody and must not block a drain."""
    return build_child(
        owner,
        api_version="policy/v1",
        kind="PodDisruptionBudget",
        name=owner.name,
        component=names.COMPONENT_SERVER,
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": server_selector(owner.name, space=space)},
        },
    )
