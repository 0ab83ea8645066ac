"""Answers that are kept to compare other pods with: small, since there may be thousands of pods.

Values are kept with half precision, relative to the largest: that moves a cosine by some 1e-7, and what is compared
with them may be off by 1e-3.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class KeptAnswer:
    """`names` of the values, where they are not their numbers; `scale` is the largest; `halves`: little-endian."""

    names: tuple[int | str, ...] | None
    scale: float
    halves: bytes

    @classmethod
    def keep(cls, values: Mapping[int | str, float]) -> Self:
        """Of finite values."""
        scale = max((abs(value) for value in values.values()), default=0.0) or 1.0
        is_numbered = all(name == number for number, name in enumerate(values))
        halves = struct.pack(f"<{len(values)}e", *(value / scale for value in values.values()))
        return cls(names=None if is_numbered else tuple(values), scale=scale, halves=halves)

    def read(self) -> Mapping[int | str, float]:
        values = struct.unpack(f"<{len(self.halves) // 2}e", self.halves)
        names = range(len(values)) if self.names is None else self.names
        return {name: value * self.scale for name, value in zip(names, values, strict=True)}
