"""Names, types and shapes of a model's tensors, from the headers of its safetensors files.

Only headers are read, by range: 8 bytes of length (little-endian), then that many bytes of JSON, then the tensors
(https://huggingface.co/docs/safetensors/index#format). A 16 GB model costs a few hundred kilobytes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from embedding_model.inspection.documents import parse_json
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.source import Source

# The format allows headers of 100 MB, which take gigabytes once parsed. An encoder of 24 layers has 40 KB.
HEADER_LIMIT = 4 * 1024 * 1024  # bytes; about 100 a tensor
MOST_TENSORS = 100_000  # in all files together
LENGTH_BYTES = 8
_LFS_POINTER = b"version "

# Bytes per value. Only these are served: integers and 8-bit floats are quantised weights, which need their own kernels.
_SERVED_DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_OTHER_DTYPES = {"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
DTYPES = _SERVED_DTYPES | _OTHER_DTYPES

Extent = tuple[int, int]  # first byte and the one behind the last, counted from the end of the header


@dataclass(frozen=True)
class Tensor:
    """One stored tensor: `shape` in values, `file` the path that holds it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    @property
    def is_floating(self) -> bool:
        return self.dtype in _SERVED_DTYPES


def read_tensors(source: Source, *, files: Iterable[str]) -> Mapping[str, Tensor]:
    """Every tensor of the given safetensors files, by name.

    Raises Refusal: INVALID_FILE for a header that is not one (a Git LFS pointer is named as such), INCOMPLETE_WEIGHTS
    for a file shorter than its header says, CONTRADICTORY_EVIDENCE for a name stored twice, UNSUPPORTED_FORMAT for
    types that are not plain floats, TOO_LARGE for a header over HEADER_LIMIT or more than MOST_TENSORS.
    """
    sizes = {file.path: file.size for file in source.files()}
    tensors: dict[str, Tensor] = {}
    for path in files:
        for tensor in _read_header(source, path=path, size=sizes[path]):
            other = tensors.get(tensor.name)
            if other is not None:
                raise Refusal(
                    Reason.CONTRADICTORY_EVIDENCE,
                    f"the tensor {quote(tensor.name)} is stored twice, in {other.file} and in {path}: "
                    "keep one of the two files",
                )
            tensors[tensor.name] = tensor
        if len(tensors) > MOST_TENSORS:
            raise Refusal(Reason.TOO_LARGE, f"the weights hold more than {MOST_TENSORS} tensors, which is not served")
    return tensors


def _read_header(source: Source, *, path: str, size: int) -> list[Tensor]:
    start = source.read_range(path, start=0, length=LENGTH_BYTES)
    length = read_header_length(start, path=path, size=size)
    data = source.read_range(path, start=LENGTH_BYTES, length=length)
    return [tensor for tensor, _ in parse_header(data, path=path, length=length, size=size)]


def read_header_length(start: bytes, *, path: str, size: int) -> int:
    """How many bytes of header follow the first eight, `start`, of a file of `size` bytes.

    Raises Refusal: INVALID_FILE, TOO_LARGE.
    """
    if start == _LFS_POINTER:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{path} is a Git LFS pointer, not the weights themselves: run `git lfs pull` and copy the files anew",
        )
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or not 2 <= length <= size - LENGTH_BYTES:
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected a safetensors header, found something else")
    if length > HEADER_LIMIT:
        raise Refusal(
            Reason.TOO_LARGE, f"{path}: the safetensors header has {length} bytes, more than the {HEADER_LIMIT} allowed"
        )
    return length


def parse_header(data: bytes, *, path: str, length: int, size: int) -> list[tuple[Tensor, Extent]]:
    """The tensors that the header `data` describes, and where they are. They fill the file without gap or overlap.

    Raises Refusal: INVALID_FILE, INCOMPLETE_WEIGHTS, UNSUPPORTED_FORMAT.
    """
    header = parse_json(data, path=f"the header of {path}")
    if len(data) < length or not isinstance(header, dict):
        raise Refusal(Reason.INVALID_FILE, f"{path}: the safetensors header is damaged")
    header.pop("__metadata__", None)
    described = [_describe(name, entry, path=path) for name, entry in header.items()]
    _check_extent([extent for _, extent in described], path=path, stored=size - LENGTH_BYTES - length)
    return described


def _describe(name: str, entry: Any, *, path: str) -> tuple[Tensor, Extent]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if all(
            type(size) is int and size >= 0 for size in shape
        ):
            pass
        case _:
            raise Refusal(Reason.INVALID_FILE, f"{path}: the safetensors header describes {quote(name)} wrongly")
    if dtype not in DTYPES:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{path}: {quote(name)} is stored as {quote(dtype)}; only plain floats "
            f"({', '.join(_SERVED_DTYPES)}) are served: use weights that are not quantised",
        )
    tensor = Tensor(name=name, dtype=dtype, shape=tuple(shape), file=path)
    if end - begin != tensor.parameters * DTYPES[dtype] or begin < 0:
        raise Refusal(Reason.INVALID_FILE, f"{path}: the safetensors header gives {quote(name)} a wrong place")
    return tensor, (begin, end)


def _check_extent(extents: list[Extent], *, path: str, stored: int) -> None:
    expected = 0
    for begin, end in sorted(extents):
        if begin != expected:
            raise Refusal(Reason.INVALID_FILE, f"{path}: the tensors overlap or leave a gap at byte {expected}")
        expected = end
    if expected != stored:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS if expected > stored else Reason.INVALID_FILE,
            f"{path}: its header describes {expected} bytes of tensors, but {stored} are there; "
            "the file may be cut: download it anew",
        )
