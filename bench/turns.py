"""Contestants measured in turns: ours, peer, ours, peer. A machine that slows down then slows both down.

Only ratios are worth reading on a machine that others use too. A ratio here is that of the medians.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def take_turns(contestants: Mapping[str, Callable[[], T]], *, rounds: int) -> dict[str, list[T]]:
    """What each contestant gave in each round. The order turns with every round: nobody is always first."""
    names = list(contestants)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(contestants[name]())
    return found


def ratio(rates: Sequence[float], *, to: Sequence[float]) -> float:
    return median(rates) / median(to)
