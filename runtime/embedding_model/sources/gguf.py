"""The header of a GGUF file: what it says of itself and where its tensors lie. Nothing in it is code.

The file begins with `GGUF`, the version (uint32), the number of tensors and of metadata entries (uint64 each); then
come the entries, the descriptions of the tensors, and from the next multiple of general.alignment the tensors, all
little-endian (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). The vocabulary is an entry, so that a header
takes megabytes: it is read piece by piece, and no further than it says.
"""

import math
import re
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf_bytes import HeaderBytes, Pull
from embedding_model.sources.source import Source

SUFFIX = ".gguf"
MAGIC = b"GGUF"
VERSIONS = (2, 3)  # version 1 counted in 32 bits and is not written any more
ALIGNMENT_KEY = "general.alignment"

# Weights that are loaded in place of a GGUF file beside them.
READABLE = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".pkl"})

# Values in a block and its bytes, by ggml's number of the type (ggml.h, ggml_type). A test holds it to gguf-py.
TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    20: ("IQ4_NL", 32, 18),
    23: ("IQ4_XS", 256, 136),
    30: ("BF16", 1, 2),
}

_HEAD = struct.Struct("<4sIQQ")
# What an entry takes at least. Metadata: length and one byte of its name, type, one byte of value. Tensor: length and
# one byte of its name, number of dimensions, one dimension, type, offset.
_LEAST_METADATA = 8 + 1 + 4 + 1  # bytes
_LEAST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8  # bytes
_MOST_METADATA = 4096  # entries; real files have 20 to 60
_MOST_TENSORS = 20_000  # a model of 80 layers has under a thousand
_MOST_DIMENSIONS = 4  # ggml's GGML_MAX_DIMS
_LONGEST_NAME = 256  # bytes; ggml takes 64 for a tensor
_MOST_VALUES = 2**40  # of one tensor
_LARGEST_ALIGNMENT = 65536  # bytes; usual are 32
_TEXT, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_PART = re.compile(r".*-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)
_SHOWN = 5


@dataclass(frozen=True)
class GgufArray:
    """A list in the metadata, decoded when it is asked for. Of strings (`form` None) or of numbers."""

    count: int
    form: struct.Struct | None
    data: HeaderBytes
    start: int

    def texts(self) -> Iterator[str]:
        """Raises Refusal(INVALID_FILE) for a list of something else."""
        if self.form is not None:
            raise Refusal(Reason.INVALID_FILE, f"{self.data.path}: expected a list of strings, found one of numbers")
        position = self.start
        for _ in range(self.count):
            text, position = self.data.text(position)
            yield text

    def integers(self) -> tuple[int, ...]:
        """Raises Refusal(INVALID_FILE) for a list of something else."""
        if self.form is None or self.form.format in ("<f", "<d"):
            raise Refusal(Reason.INVALID_FILE, f"{self.data.path}: expected a list of whole numbers, found another")
        raw = self.data.slice(self.start, self.count * self.form.size)
        return tuple(value for (value,) in self.form.iter_unpack(raw))


GgufValue = bool | int | float | str | GgufArray


@dataclass(frozen=True)
class GgufTensor:
    """`shape` as torch has it, rows first; `type` is ggml's name; `start` and `bytes` say where in the file it lies."""

    name: str
    shape: tuple[int, ...]
    number: int
    start: int
    bytes: int

    @property
    def type(self) -> str:
        return TYPES[self.number][0]

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """`tensors` in the file's order; `data` is what was read of the file to know it."""

    path: str
    version: int
    values: Mapping[str, GgufValue]
    tensors: tuple[GgufTensor, ...]
    data: HeaderBytes


def find_gguf(paths: Collection[str]) -> str | None:
    """The GGUF file that is the model, where no other weights are there: the one in the root.

    Raises Refusal(UNSUPPORTED_FORMAT) where it is not one file: several, parts of one, beside modules.json or in
    folders.
    """
    found = sorted(path for path in paths if path.lower().endswith(SUFFIX))
    if not found or any(PurePosixPath(path).suffix.lower() in READABLE for path in paths):
        return None
    own = [path for path in found if "/" not in path]
    shown = ", ".join((own or found)[:_SHOWN]) + (", ..." if len(own or found) > _SHOWN else "")
    if not own:
        problem = "in folders only: serve a folder that holds the one that is meant"
    elif any(_PART.fullmatch(path) for path in own):
        problem = "in parts, which are not put together here: merge them into one file (llama-gguf-split --merge)"
    elif len(own) > 1:
        problem = f"in {len(own)} files: leave the one that is meant in a folder or repository of its own"
    elif "modules.json" in paths:
        problem = (
            "with a modules.json, which describes other weights: put the GGUF file into a folder of its own, or serve "
            "the safetensors weights"
        )
    else:
        return own[0]
    raise Refusal(Reason.UNSUPPORTED_FORMAT, f"the weights are there as GGUF only ({shown}), {problem}")


def read_gguf_header(source: Source, *, path: str) -> GgufHeader:
    """The header of a file of the source, by ranged reads. Raises what `parse_gguf_header` raises."""
    size = next((file.size for file in source.files() if file.path == path), 0)
    position = 0

    def pull(count: int) -> bytes:
        nonlocal position
        data = source.read_range(path, start=position, length=count)
        position += len(data)
        return data

    return parse_gguf_header(pull, path=path, size=size)


def parse_gguf_header(pull: Pull, *, path: str, size: int) -> GgufHeader:
    """The header of a file of `size` bytes; `pull` gives its next bytes, from the first on.

    Raises Refusal: INVALID_FILE for a file that is no GGUF, that is cut, or that says what cannot be;
    INCOMPLETE_WEIGHTS for tensors beyond its end; UNSUPPORTED_FORMAT for another version, byte order or type of
    tensors; TOO_LARGE.
    """
    data = HeaderBytes(pull, path=path, size=size)
    version, tensors, entries = _read_head(data)
    position = _HEAD.size
    values: dict[str, GgufValue] = {}
    for _ in range(entries):
        key, position = data.text(position, longest=_LONGEST_NAME)
        if key in values:
            raise Refusal(Reason.INVALID_FILE, f"{path}: a metadata key stands there twice; copy the file anew")
        values[key], position = _read_value(data, position=position)
    described = []
    for _ in range(tensors):
        entry, position = _read_tensor(data, position=position)
        described.append(entry)
    alignment = values.get(ALIGNMENT_KEY, 32)
    if type(alignment) is not int or not 8 <= alignment <= _LARGEST_ALIGNMENT or alignment % 8:
        raise Refusal(Reason.INVALID_FILE, f"{path}: {ALIGNMENT_KEY} is no multiple of 8 up to {_LARGEST_ALIGNMENT}")
    start = -(-position // alignment) * alignment
    placed = _place(described, path=path, start=start, size=size, alignment=alignment)
    return GgufHeader(path=path, version=version, values=values, tensors=placed, data=data)


def _read_head(data: HeaderBytes) -> tuple[int, int, int]:
    path, size = data.path, data.size
    if size < _HEAD.size or data.slice(0, len(MAGIC)) != MAGIC:
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected a GGUF file, found something else; copy the file anew")
    _, version, tensors, metadata = data.unpack(_HEAD, 0)
    if version not in VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        found = "big-endian" if swapped in VERSIONS else f"version {version}"
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{path} is a GGUF file, {found}; expected little-endian, version {' or '.join(map(str, VERSIONS))}",
        )
    if tensors * _LEAST_TENSOR + metadata * _LEAST_METADATA + _HEAD.size > size:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{path} has {size} bytes, too few for its {tensors} tensors and {metadata} metadata entries; it may be "
            "cut: copy it anew",
        )
    if tensors > _MOST_TENSORS or metadata > _MOST_METADATA:
        raise Refusal(
            Reason.TOO_LARGE,
            f"{path} has {tensors} tensors and {metadata} metadata entries; at most {_MOST_TENSORS} and "
            f"{_MOST_METADATA} are read",
        )
    return version, tensors, metadata


def _read_value(data: HeaderBytes, *, position: int) -> tuple[GgufValue, int]:
    kind, position = data.uint32(position)
    if kind == _TEXT:
        return data.text(position)
    if kind != _ARRAY:
        form = _scalar(kind, path=data.path)
        return data.unpack(form, position)[0], position + form.size
    kind, position = data.uint32(position)
    count, position = data.uint64(position)
    if kind == _TEXT:
        return GgufArray(count=count, form=None, data=data, start=position), data.skip_texts(position, count=count)
    form = _scalar(kind, path=data.path)
    array = GgufArray(count=count, form=form, data=data, start=position)
    return array, data.skip(position, count * form.size)


def _scalar(kind: int, *, path: str) -> struct.Struct:
    form = _SCALARS.get(kind)
    if form is None:
        raise Refusal(Reason.INVALID_FILE, f"{path}: a metadata entry has the unknown type {kind}; copy the file anew")
    return form


def _read_tensor(data: HeaderBytes, *, position: int) -> tuple[GgufTensor, int]:
    """The tensor, with its place counted from the first tensor's."""
    name, position = data.text(position, longest=_LONGEST_NAME)
    count, position = data.uint32(position)
    if not 1 <= count <= _MOST_DIMENSIONS:
        raise Refusal(Reason.INVALID_FILE, f"{data.path}: a tensor has {count} dimensions; copy the file anew")
    sizes = []
    for _ in range(count):
        size, position = data.uint64(position)
        sizes.append(size)
    number, position = data.uint32(position)
    offset, position = data.uint64(position)
    if number not in TYPES:
        known = ", ".join(name for name, _, _ in TYPES.values())
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            f"{data.path}: a tensor has ggml's type number {number}; known are {known}. Use a file of one of these",
        )
    _, block, block_bytes = TYPES[number]
    values = math.prod(sizes)
    if not 1 <= values <= _MOST_VALUES or sizes[0] % block:
        raise Refusal(Reason.INVALID_FILE, f"{data.path}: a tensor has sizes that cannot be; copy the file anew")
    stored = values // block * block_bytes
    return GgufTensor(name=name, shape=tuple(reversed(sizes)), number=number, start=offset, bytes=stored), position


def _place(tensors: list[GgufTensor], *, path: str, start: int, size: int, alignment: int) -> tuple[GgufTensor, ...]:
    """Places counted from the file's first byte. The tensors neither overlap nor leave more than alignment needs."""
    if len({tensor.name for tensor in tensors}) < len(tensors):
        raise Refusal(Reason.INVALID_FILE, f"{path}: a tensor stands there twice; copy the file anew")
    placed: list[GgufTensor] = []
    expected = 0
    for tensor in sorted(tensors, key=_offset):
        if tensor.start != expected:
            raise Refusal(Reason.INVALID_FILE, f"{path}: the tensors overlap or leave a gap; copy the file anew")
        end = tensor.start + tensor.bytes
        expected = -(-end // alignment) * alignment
        if start + end > size:
            raise Refusal(
                Reason.INCOMPLETE_WEIGHTS,
                f"{path}: its header describes more tensors than are there; the file may be cut: copy it anew",
            )
        placed.append(
            GgufTensor(
                name=tensor.name,
                shape=tensor.shape,
                number=tensor.number,
                start=start + tensor.start,
                bytes=tensor.bytes,
            )
        )
    if size > max(start + expected, start):
        raise Refusal(Reason.INVALID_FILE, f"{path} goes on behind its tensors; copy the file anew")
    return tuple(placed)


def _offset(tensor: GgufTensor) -> int:
    return tensor.start
