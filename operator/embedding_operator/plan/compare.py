"""Does a live object contain our manifest?

The API server fills in defaults and others add fields of their own: those are theirs. Only what we state is compared.
Lists of objects that server-side apply merges by key are compared by that key; all others item by item, and maps that
it replaces whole as a whole. Quantities
are compared by value, since the API server writes "1000m" as "1".
"""

from collections.abc import Sequence
from typing import Any, Final

from embedding_operator.children.quantity import parse_quantity
from embedding_operator.kube.ownership import ATOMIC_MAPS, find_list_keys, identify_item

_QUANTITIES: Final = frozenset({"requests", "limits", "sizeLimit"})


def contains(live: Any, *, wanted: Any) -> bool:
    """Whether everything in `wanted` is in `live`. Empty maps, lists and texts and nulls equal absence."""
    return _contains(live, wanted, field="", quantity=False)


def _contains(live: Any, wanted: Any, *, field: str, quantity: bool) -> bool:
    if live == wanted:  # most of it, at the speed of the interpreter
        return True
    if field in ATOMIC_MAPS:
        return False
    if isinstance(wanted, dict):
        return not wanted or (
            isinstance(live, dict)
            and all(
                _contains(live.get(key), value, field=key, quantity=quantity or key in _QUANTITIES)
                for key, value in wanted.items()
            )
        )
    if _is_empty(wanted):
        return _is_empty(live)
    if isinstance(wanted, list | tuple):
        return isinstance(live, list | tuple) and _list_contains(live, wanted, field=field)
    number = parse_quantity(wanted) if quantity else None
    return number is not None and live is not None and parse_quantity(live) == number


def _list_contains(live: Sequence[Any], wanted: Sequence[Any], *, field: str) -> bool:
    keys = find_list_keys(field, wanted)
    if keys is None:
        return len(live) == len(wanted) and all(
            _contains(theirs, ours, field="", quantity=False) for theirs, ours in zip(live, wanted, strict=True)
        )
    present = {identify_item(item, keys): item for item in live if isinstance(item, dict)}
    return all(_contains(present.get(identify_item(item, keys)), item, field="", quantity=False) for item in wanted)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, dict | list | tuple | str) and len(value) == 0)
