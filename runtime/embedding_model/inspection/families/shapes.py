"""Shapes as config.json gives them: numbers that remember the keys they come from."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """One number of a shape. `keys` are the keys of config.json behind it; none for a constant."""

    value: int
    keys: tuple[str, ...] = ()

    def __mul__(self, other: "Size | int") -> "Size":
        factor = other if isinstance(other, Size) else Size(other)
        return Size(self.value * factor.value, self.keys + factor.keys)

    __rmul__ = __mul__

    def __add__(self, other: "Size") -> "Size":
        return Size(self.value + other.value, self.keys + other.keys)


# The rows of a classification head: whatever the weights say, config.json often does not.
LABELS = Size(0, ("num_labels",))

Shape = tuple[Size, ...]
Tensors = Mapping[str, Shape]


def linear(name: str, rows: Size, columns: Size, *, bias: bool = True) -> dict[str, Shape]:
    """A linear layer from `columns` to `rows` values."""
    return {f"{name}.weight": (rows, columns), **({f"{name}.bias": (rows,)} if bias else {})}


def norm(name: str, width: Size, *, bias: bool = True) -> dict[str, Shape]:
    """A layer normalisation; RMS norms have no bias."""
    return {f"{name}.weight": (width,), **({f"{name}.bias": (width,)} if bias else {})}


def repeat(prefix: str, layers: int, tensors: Mapping[str, Shape]) -> dict[str, Shape]:
    """The same tensors for each of `layers` layers, as PREFIX.NUMBER.NAME."""
    return {f"{prefix}.{number}.{name}": shape for number in range(layers) for name, shape in tensors.items()}
