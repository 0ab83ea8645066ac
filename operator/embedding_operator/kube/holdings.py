"""Who holds which fields of one object, for the Gateway in memory: as much of managedFields as conflicts need.

An update that changes a field takes it from everybody else; an apply of the same value shares it, and of another value
conflicts, unless it is forced.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedding_operator.kube.gateway import HeldField, Object
from embedding_operator.kube.ownership import Path, identify_item, owned_paths

_OF_METADATA: Final = ("labels", "annotations", "ownerReferences", "finalizers")
_NOT_HELD: Final = frozenset({"apiVersion", "kind", "metadata", "status"})
_ABSENT: Final = object()


@dataclass(frozen=True)
class Manager:
    """A name, and whether it writes by Apply or by Update, and through which subresource: one name counts as often."""

    name: str
    operation: str
    subresource: str = ""


class Holdings:
    def __init__(self) -> None:
        self._held: dict[Manager, set[Path]] = {}

    def describe(self) -> Sequence[Mapping[str, str]]:
        """managedFields, without the fields."""
        return [_describe(manager) for manager, held in self._held.items() if held]

    def list_given_up(self, manager: Manager, *, kept: set[Path]) -> Sequence[Path]:
        """What this manager applied before, leaves out now, and nobody else holds."""
        others = self._list_others(manager)
        return [
            path
            for path in sorted(self._held.get(manager, set()) - kept, key=repr)
            if not any(item[: len(path)] == path for item in kept | others)
        ]

    def find_conflicts(self, manager: Manager, *, before: Object, after: Object) -> Sequence[HeldField]:
        """Fields of others that `after` changes."""
        return [
            HeldField(manager=other.name, subresource=other.subresource, field=write_path(path))
            for other, held in self._held.items()
            if other != manager
            for path in sorted(held, key=repr)
            if _read(before, path) != _read(after, path)
        ]

    def note_apply(self, manager: Manager, *, applied: set[Path], before: Object, after: Object) -> None:
        self._take_changed(manager, before=before, after=after)
        self._held[manager] = applied

    def note_update(self, manager: Manager, *, before: Object, after: Object) -> None:
        there = select_held(after)
        changed = {path for path in owned_paths(there) if _read(before, path) != _read(there, path)}
        self._take_changed(manager, before=before, after=after)
        self._held[manager] = self._held.get(manager, set()) | changed

    def _take_changed(self, manager: Manager, *, before: Object, after: Object) -> None:
        for other, held in self._held.items():
            if other != manager:
                held -= {path for path in held if _read(before, path) != _read(after, path)}

    def _list_others(self, manager: Manager) -> set[Path]:
        return {path for other, held in self._held.items() if other != manager for path in held}


def _describe(manager: Manager) -> Mapping[str, str]:
    through = {"subresource": manager.subresource} if manager.subresource else {}
    return {"manager": manager.name, "operation": manager.operation, **through}


def select_held(item: Object) -> Object:
    """The part of an object whose fields have holders: no status, and nothing that the server fills in."""
    metadata = {key: item["metadata"][key] for key in _OF_METADATA if key in item.get("metadata", {})}
    return {"metadata": metadata, **{key: value for key, value in item.items() if key not in _NOT_HELD}}


def write_path(path: Path) -> str:
    """As the API server writes it: `.spec.template.spec.containers[name="runtime"].image`."""
    return "".join(_write_parts(path))


def _write_parts(path: Path) -> Iterator[str]:
    for part in path:
        if isinstance(part, tuple):
            keys = ",".join(f"{key}={json.dumps(value)}" for key, value in zip(part[1], part[2], strict=True))
            yield f"[{keys}]"
        else:
            yield f".{part}"


def _read(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(part, tuple):
            items = value if isinstance(value, list) else []
            value = next((item for item in items if identify_item(item, part[1]) == part), _ABSENT)
        else:
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value
