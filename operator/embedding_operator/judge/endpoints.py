"""Which pods does the model's Service send requests to, as its EndpointSlices say?"""

from collections.abc import Iterator, Mapping
from typing import Any

from embedding_operator.observe.snapshot import Snapshot


def list_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of all pods that are listed: clients may still be connected to those that are not ready, or ending."""
    return frozenset(_name(endpoint) for endpoint in _read(snapshot))


def list_ready_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of those that get new requests."""
    return frozenset(
        _name(endpoint)
        for endpoint in _read(snapshot)
        if (endpoint.get("conditions") or {}).get("ready") is not False  # absent: unknown, which counts as ready
    )


def _read(snapshot: Snapshot) -> Iterator[Mapping[str, Any]]:
    return (endpoint for item in snapshot.endpoints for endpoint in item.get("endpoints") or ())


def _name(endpoint: Mapping[str, Any]) -> str:
    return str((endpoint.get("targetRef") or {}).get("name", ""))
