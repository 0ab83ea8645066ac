"""Answers that are kept to compare other pods with: small, since there may be thousands of pods.

Values are kept with half precision, relative to the largest: that moves a cosine by some 1e-7, and what is compared
with them may be off by 1e-3.
"""

import struct
from dataclasses import dataclass
from typing import Self

from embedding_operator.audit.answer_values import AnswerValues


@dataclass(frozen=True)
class KeptAnswer:
    """`names` as of AnswerValues; `scale` is the largest number; `halves`: little-endian."""

    names: tuple[str, ...] | None
    scale: float
    halves: bytes

    @classmethod
    def keep(cls, values: AnswerValues) -> Self:
        """Of finite values."""
        scale = max(map(abs, values.numbers), default=0.0) or 1.0
        halves = struct.pack(f"<{len(values.numbers)}e", *[value / scale for value in values.numbers])
        return cls(names=values.names, scale=scale, halves=halves)

    def read(self) -> AnswerValues:
        halves = struct.unpack(f"<{len(self.halves) // 2}e", self.halves)
        return AnswerValues(numbers=[half * self.scale for half in halves], names=self.names)
