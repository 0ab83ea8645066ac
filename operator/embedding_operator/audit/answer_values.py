"""An answer as numbers, whatever the task, and how far two of them are apart.

There are some hundred numbers in an answer and some dozen answers in an audit, so each is gone over in as few loops of
Python as can be.
"""

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Self


@dataclass(frozen=True)
class AnswerValues:
    """`numbers` are dimensions, scores of documents, or what `names` says: labels or terms, each once."""

    numbers: Sequence[float]
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, named: Iterable[tuple[str, float]]) -> Self:
        """The last one of a name counts."""
        values = dict(named)
        return cls(numbers=tuple(values.values()), names=tuple(values))

    @cached_property
    def norm(self) -> float:
        return math.hypot(*self.numbers)

    def cosine(self, other: Self) -> float:
        """What is in one of them alone is 0 in the other. Of two that are zero, or have no numbers, 1."""
        if not self.norm or not other.norm:
            return float(self.norm == other.norm)
        product: float = sum(map(operator.mul, *self._align(other)))
        return product / self.norm / other.norm

    def distance(self, other: Self) -> float:
        """The largest difference of two numbers, relative to the largest number where that is above 1."""
        scale = max((1.0, *map(abs, self.numbers), *map(abs, other.numbers)))
        return max((abs(mine - theirs) for mine, theirs in zip(*self._align(other), strict=True)), default=0.0) / scale

    def names_the_same(self, other: Self) -> bool:
        """Whether both have numbers of the same dimensions, documents, labels or terms."""
        mine, theirs = self.names, other.names
        if mine is None or theirs is None:
            return mine is theirs and len(self.numbers) == len(other.numbers)
        return set(mine) == set(theirs)

    def _align(self, other: Self) -> tuple[Sequence[float], Sequence[float]]:
        """The numbers of both, in one order."""
        if self.names is None or other.names is None:
            if len(self.numbers) == len(other.numbers):
                return self.numbers, other.numbers
            mine, theirs = zip(*zip_longest(self.numbers, other.numbers, fillvalue=0.0), strict=True)
            return mine, theirs
        a, b = dict(zip(self.names, self.numbers, strict=True)), dict(zip(other.names, other.numbers, strict=True))
        names = {**a, **b}
        return [a.get(name, 0.0) for name in names], [b.get(name, 0.0) for name in names]
