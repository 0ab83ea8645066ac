"""safetensors, written by rules of our own: the same tensors give the same bytes with every version of every library.

A pod that repeats a conversion accepts one hash only. The safetensors library does not promise the order of tensors, so
a newer image could never repeat what an older one did. The format is 8 bytes of header length (little-endian), a JSON
header padded with spaces to 8 bytes, and the tensors
(https://huggingface.co/docs/safetensors/index#format). Order: larger values first, which aligns every tensor, then
dtype, then name; where all tensors have one dtype, the bytes are those that the library writes.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass

ALIGNMENT = 8  # bytes
WIDTHS = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}  # bytes per value


@dataclass(frozen=True)
class Described:
    """A tensor without its values: `dtype` is a key of WIDTHS."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * WIDTHS[self.dtype]


def arrange(tensors: Iterable[Described]) -> list[Described]:
    """The order in which the tensors are stored."""
    return sorted(tensors, key=lambda tensor: (-WIDTHS[tensor.dtype], tensor.dtype, tensor.name))


def render_header(arranged: Iterable[Described]) -> bytes:
    """Everything before the first tensor. Raises UnicodeEncodeError for a name that is no text."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in arranged:
        end = offset + tensor.size
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (offset, end)}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
