"""Does a live object contain our manifest?

The API server fills in defaults and others add fields of their own: those are theirs. Only what we state is compared.
Lists of objects that server-side apply merges by key are compared by that key; all others item by item. Quantities
are compared by value, since the API server writes "1000m" as "1".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from embedding_operator.children.quantity import parse_quantity
from embedding_operator.kube.ownership import find_list_keys, identify_item

_QUANTITIES: Final = frozenset({"requests", "limits", "sizeLimit"})


def contains(live: Any, *, wanted: Any) -> bool:
    """Whether everything in `wanted` is in `live`. Empty maps, lists and texts and nulls equal absence."""
    return _contains(live, wanted, field="", quantity=False)


def _contains(live: Any, wanted: Any, *, field: str, quantity: bool) -> bool:
    if isinstance(wanted, Mapping):
        return not wanted or (
            isinstance(live, Mapping)
            and all(
                _contains(live.get(key), value, field=key, quantity=quantity or key in _QUANTITIES)
                for key, value in wanted.items()
            )
        )
    if _is_empty(wanted):
        return _is_empty(live)
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return isinstance(live, Sequence) and not isinstance(live, str) and _list_contains(live, wanted, field=field)
    if quantity:
        number = parse_quantity(wanted)
        if number is not None:
            return live is not None and parse_quantity(live) == number
    return bool(live == wanted)


def _list_contains(live: Sequence[Any], wanted: Sequence[Any], *, field: str) -> bool:
    keys = find_list_keys(field, wanted)
    if keys is None:
        return len(live) == len(wanted) and all(
            _contains(theirs, ours, field="", quantity=False) for theirs, ours in zip(live, wanted, strict=True)
        )
    present = {identify_item(item, keys): item for item in live if isinstance(item, Mapping)}
    return all(_contains(present.get(identify_item(item, keys)), item, field="", quantity=False) for item in wanted)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping | list | tuple | str) and len(value) == 0)
