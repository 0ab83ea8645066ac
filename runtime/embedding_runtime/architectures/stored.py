"""Tensors as safetensors files hold them, read from front to back: one tensor at a time is in memory beside the model.

A tensor is handed out before the whole file has been hashed. So nothing may be served before `open_weights` has ended
without a Refusal: it reads every file to its end and compares the hash.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
import torch

from embedding_model.inspection.tensors import LENGTH_BYTES, Extent, Tensor, parse_header, read_header_length
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.gguf import find_gguf
from embedding_model.sources.weight_files import TOKEN_HEAD_FILES
from embedding_runtime.files import Files, Reader, open_file

SUFFIX = ".safetensors"
INDEX = "model.safetensors.index.json"
PIECE_BYTES = 16 * 1024 * 1024  # of a tensor that is being cast: the most that is in memory twice

# Of every type that inspection lets pass; integers occur as buffers of old checkpoints.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_CPU = torch.device("cpu")


class StoredFile(Protocol):
    """One file of weights."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of every tensor in it by its name."""

    @property
    def types(self) -> str | None:
        """How many tensors are of which of ggml's types; None for a file of plain floats."""

    @property
    def in_memory(self) -> bool:
        """Whether what is read may be a view on the file in memory."""

    def read(
        self, names: Collection[str], *, dtype: torch.dtype | None, device: torch.device
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Those of the tensors that are in `names`, once and in the file's order. `dtype` None: as it is stored."""

    def finish(self) -> None:
        """Raises Refusal(HASH_MISMATCH) for a file that is not the one that was resolved."""


@dataclass(frozen=True)
class Weights:
    """All tensors of a model's own weight files. `shapes` by name."""

    files: Sequence[StoredFile]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def types(self) -> str | None:
        """What the tensors were quantised to in the files; None for plain floats."""
        return next((file.types for file in self.files if file.types is not None), None)

    @property
    def in_memory(self) -> bool:
        """Whether tensors may be views on files in memory, of which one keeps the whole."""
        return any(file.in_memory for file in self.files)

    def read(
        self, names: Collection[str], *, dtype: torch.dtype | None = None, device: torch.device = _CPU
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Name and tensor of each of `names`; floating point in `dtype` (None: as it is stored). Only once.

        On a CPU and in the stored dtype a tensor may be a view on a file in memory. Raises Refusal(HASH_MISMATCH),
        Unavailable.
        """
        for file in self.files:
            yield from file.read(names, dtype=dtype, device=device)


@contextlib.contextmanager
def open_weights(files: Files) -> Iterator[Weights]:
    """The weight files in the root of `files`.

    Raises Refusal: MISSING_FILE without weights, INVALID_FILE for a tensor that occurs twice and, as inspection does,
    for a malformed file, INCOMPLETE_WEIGHTS, UNSUPPORTED_FORMAT, TOO_LARGE; at the end, and in place of any other that
    was raised inside, HASH_MISMATCH.
    """
    with contextlib.ExitStack() as stack:
        readers: list[Reader] = []
        try:
            stored: list[StoredFile] = []
            for path in _list_files(files):
                reader = stack.enter_context(open_file(files, path=path))
                readers.append(reader)
                stored.append(_read_stored(path, reader=reader))
            yield Weights(files=stored, shapes=_join(stored))
        except Refusal:
            for reader in readers:
                reader.finish()  # a file that is not the one that was resolved explains whatever else is wrong
            raise
        for reader in readers:
            reader.finish()


def read_tensors(files: Files) -> dict[str, torch.Tensor]:
    """All tensors of the weight files in the root of `files`, as they are stored. For small ones, such as a module's.

    Raises what `open_weights` raises.
    """
    with open_weights(files) as weights:
        return dict(weights.read(weights.shapes.keys()))


class SafetensorsFile:
    """One safetensors file, from front to back."""

    types: str | None = None

    def __init__(self, path: str, *, reader: Reader) -> None:
        self._reader = reader
        start = bytearray(min(LENGTH_BYTES, reader.size))
        reader.fill(memoryview(start))
        length = read_header_length(bytes(start), path=path, size=reader.size)
        header = bytearray(length)
        reader.fill(memoryview(header))
        described = parse_header(bytes(header), path=path, length=length, size=reader.size)
        self._tensors = sorted(described, key=_place)
        self.shapes = {tensor.name: tensor.shape for tensor, _ in self._tensors}
        self.in_memory = reader.borrow(0) is not None

    def read(
        self, names: Collection[str], *, dtype: torch.dtype | None, device: torch.device
    ) -> Iterator[tuple[str, torch.Tensor]]:
        for tensor, (start, end) in self._tensors:
            if tensor.name in names:
                stored = _DTYPES[tensor.dtype]
                wanted = stored if dtype is None or not stored.is_floating_point else dtype
                flat = _read_values(self._reader, count=tensor.parameters, stored=stored, dtype=wanted, device=device)
                yield tensor.name, flat.reshape(tensor.shape)
                del flat  # the next tensor is read while nobody holds this one any more
            else:
                self._reader.skip(end - start)

    def finish(self) -> None:
        self._reader.finish()


def _place(described: tuple[Tensor, Extent]) -> Extent:
    return described[1]


def _read_stored(path: str, *, reader: Reader) -> StoredFile:
    if path.endswith(SUFFIX):
        return SafetensorsFile(path, reader=reader)
    from embedding_runtime.architectures.stored_gguf import GgufFile

    return GgufFile(path, reader=reader)


def _list_files(files: Files) -> list[str]:
    gguf = find_gguf(files.keys())
    if gguf is not None:
        return [gguf]
    if INDEX not in files:
        own = (path for path in files if path.endswith(SUFFIX) and "/" not in path)
        found = sorted(path for path in own if path not in TOKEN_HEAD_FILES)
        if not found:
            raise Refusal(Reason.MISSING_FILE, "The model has no safetensors weights in its root.")
        return found
    try:
        named = sorted(set(orjson.loads(files[INDEX])["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(Reason.INVALID_FILE, f"{INDEX} does not say which tensor is in which file.") from error
    for path in named:
        if path not in files:
            raise Refusal(Reason.MISSING_FILE, f"{INDEX} names {path}, which is not there.")
    return named


def _join(files: Sequence[StoredFile]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        twice = shapes.keys() & file.shapes.keys()
        if twice:
            raise Refusal(Reason.INVALID_FILE, f"Two files of the weights hold the tensor {min(twice)}: keep one.")
        shapes |= file.shapes
    if not shapes:
        raise Refusal(Reason.MISSING_FILE, "The model's safetensors weights hold no tensor.")
    return shapes


def _read_values(
    reader: Reader, *, count: int, stored: torch.dtype, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """The next `count` values, [count] on `device`."""
    if count == 0:
        return torch.empty(0, dtype=dtype, device=device)
    if stored == dtype and device.type == "cpu":
        view = reader.borrow(count * stored.itemsize)
        if view is not None:
            return torch.frombuffer(view, dtype=stored, count=count)
        values = torch.empty(count, dtype=dtype)
        reader.fill(values.view(torch.uint8).numpy().data)
        return values
    values = torch.empty(count, dtype=dtype, device=device)
    step = PIECE_BYTES // stored.itemsize
    piece = bytearray(min(count, step) * stored.itemsize)
    for start in range(0, count, step):
        size = min(step, count - start)
        part = memoryview(piece)[: size * stored.itemsize]
        reader.fill(part)
        values[start : start + size].copy_(torch.frombuffer(part, dtype=stored, count=size))
    return values
