"""What one reconcile wants to change: applied in this order, each write idempotent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Deletion of one child by uid; `why` goes to the log."""

    kind: str
    namespace: str
    name: str
    uid: str
    why: str


@dataclass(frozen=True)
class Isolate:
    """Take a pod out of the Service, by its traffic label; `why` goes to an event."""

    namespace: str
    name: str
    uid: str
    why: str


@dataclass(frozen=True)
class Plan:
    """`isolate` and `replace` (pods to delete, so that others take their place), then `apply` in order, then `delete`
    in order. An empty plan is the steady state.
    """

    isolate: Sequence[Isolate] = ()
    replace: Sequence[Delete] = ()
    apply: Sequence[Manifest] = ()
    delete: Sequence[Delete] = ()
