"""Server-side apply as far as one field manager can tell: deep merge, map lists by key, removal of fields given up.

Follows the structured-merge rules of Kubernetes: maps merge by key, lists with a `listMapKey` merge by that key; other
lists, atomic maps and scalars are replaced whole. A field that this manager applied before and leaves out now is
removed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# Field name -> keys of its items, from the OpenAPI schema of the built-in types and of our CRD (conditions).
LIST_MAP_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
}
# Of Services a map, of everything else that we write a LabelSelector: one more key selects something else.
ATOMIC_MAPS: Final = frozenset({"selector"})
# Ports have a default protocol, and containers and Services name the number differently.
_PORT_KEYS: Final = (("containerPort", "protocol"), ("port", "protocol"))
_PORT_DEFAULTS: Final[Mapping[str, str]] = {"protocol": "TCP"}

Path = tuple[object, ...]
Item = Mapping[str, Any]


def owned_paths(applied: Any, *, field: str = "", path: Path = ()) -> Iterator[Path]:
    """Every leaf that this manifest sets; an item of a map list stands in the path as ("key", values...)."""
    if isinstance(applied, Mapping):
        if not applied or field in ATOMIC_MAPS:
            yield path
            return
        for key, value in applied.items():
            yield from owned_paths(value, field=key, path=(*path, key))
    elif (keys := find_list_keys(field, applied)) is not None:
        for item in applied:
            yield from owned_paths(item, path=(*path, identify_item(item, keys)))
    else:
        yield path


def merge(live: Any, applied: Any, *, field: str = "") -> Any:
    """`live` with everything that `applied` sets; neither is changed."""
    if isinstance(applied, Mapping) and isinstance(live, Mapping) and field not in ATOMIC_MAPS:
        merged = dict(live)
        for key, value in applied.items():
            merged[key] = merge(live.get(key), value, field=key)
        return merged
    keys = find_list_keys(field, applied)
    if keys is not None and isinstance(live, Sequence) and not isinstance(live, str):
        return _merge_items(live, applied, keys)
    return _copy(applied)


def remove(live: Any, path: Path) -> Any:
    """`live` without the field at `path`; maps and items that become empty go with it, as the API server does."""
    head, rest = path[0], path[1:]
    if isinstance(live, Mapping) and head in live:
        if not rest:
            return {key: value for key, value in live.items() if key != head}
        below = remove(live[head], rest)
        if below in ({}, []):
            return {key: value for key, value in live.items() if key != head}
        return {**live, head: below}
    if isinstance(live, list) and isinstance(head, tuple):
        return _remove_in_item(live, head, rest)
    return live


def _remove_in_item(live: list[Any], identity: tuple[object, ...], rest: Path) -> list[Any]:
    kept = []
    for item in live:
        keys = tuple(str(key) for key in identity[1])  # type: ignore[attr-defined]
        if identify_item(item, keys) != identity:
            kept.append(item)
            continue
        # An item lives as long as it has a field that is not its key.
        below = item if rest and rest[0] in keys else remove(item, rest) if rest else {}
        if any(key not in keys for key in below):
            kept.append(below)
    return kept


def _merge_items(live: Sequence[Item], applied: Sequence[Item], keys: tuple[str, ...]) -> list[Any]:
    rest = {identify_item(item, keys): item for item in live}
    merged = [merge(rest.pop(identify_item(item, keys), None), item) for item in applied]
    return merged + [_copy(item) for item in rest.values()]


def find_list_keys(field: str, value: Any) -> tuple[str, ...] | None:
    """The keys of a map list's items, or None when the value is not one."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
        return None
    if field == "ports":
        return next((keys for keys in _PORT_KEYS if all(keys[0] in item for item in value)), None)
    keys = LIST_MAP_KEYS.get(field)
    return keys if keys and all(key in item for item in value for key in keys) else None


def identify_item(item: Item, keys: tuple[str, ...]) -> tuple[object, ...]:
    """What sets this item of a map list apart from the others."""
    return ("item", keys, tuple(item.get(key, _PORT_DEFAULTS.get(key)) for key in keys))


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
