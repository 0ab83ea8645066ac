"""How far fetches are, in words."""

from collections.abc import Iterable
from typing import Final

from embedding_model.ports import Progress

_UNITS: Final = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))


def describe_progress(found: Iterable[Progress | None]) -> str:
    """A clause to end a message with, of the fetch that has the farthest to go; empty when none is known."""
    known = [item for item in found if item is not None and item.bytes > 0]
    if not known:
        return ""
    item = max(known, key=lambda each: (each.bytes - each.bytes_done, each.files - each.files_done))
    size, unit = next((size, unit) for size, unit in _UNITS if item.bytes >= size)
    done, total = (f"{amount / size:.1f}" if size > 1 else str(amount) for amount in (item.bytes_done, item.bytes))
    return f"; fetched {done} of {total} {unit}, {item.files_done} of {item.files} files"


def describe_duration(seconds: float) -> str:
    """Whole seconds up to two minutes, then whole minutes where they are whole."""
    whole = round(seconds)
    return f"{whole // 60} minutes" if whole >= 120 and whole % 60 == 0 else f"{whole} s"
