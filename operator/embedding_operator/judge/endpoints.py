"""Which pods do the Services of a model send requests to, as their EndpointSlices say?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from embedding_operator.api import names
from embedding_operator.observe.snapshot import Object, Snapshot

Endpoint = Mapping[str, Any]


def list_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of all pods that are listed: clients may still be connected to those that are not ready, or ending."""
    return frozenset(_name(endpoint) for item in snapshot.endpoints for endpoint in _read(item))


def list_ready_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of those that get new requests."""
    return frozenset(_name(endpoint) for item in snapshot.endpoints for endpoint in _read_ready(item))


def list_reached_pods(snapshot: Snapshot) -> frozenset[str]:
    """Names of those that get new requests of the model's own Service, which has the model's name."""
    items = (item for item in snapshot.endpoints if _service(item) == snapshot.key.name)
    return frozenset(_name(endpoint) for item in items for endpoint in _read_ready(item))


def _service(item: Object) -> str:
    return str((item["metadata"].get("labels") or {}).get(names.LABEL_SERVICE_NAME, ""))


def _read_ready(item: Object) -> Iterator[Endpoint]:
    # Absent: unknown, which counts as ready.
    return (endpoint for endpoint in _read(item) if (endpoint.get("conditions") or {}).get("ready") is not False)


def _read(item: Object) -> Sequence[Endpoint]:
    endpoints: Sequence[Endpoint] = item.get("endpoints") or ()
    return endpoints


def _name(endpoint: Endpoint) -> str:
    return str((endpoint.get("targetRef") or {}).get("name", ""))
