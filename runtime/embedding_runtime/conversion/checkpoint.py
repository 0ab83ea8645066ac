"""The tensors of a pickle, read with weights_only: what needs torch in a conversion. Only `child` imports it."""

import io
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from embedding_model.inspection.tensors import MOST_TENSORS
from embedding_runtime.conversion.layout import Described, arrange, render_header
from embedding_runtime.conversion.report import Problem

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_NESTED_KEY = "state_dict"  # where training frameworks put the tensors, beside the optimiser's
# Of tensors that are one memory, save_pretrained keeps the input embeddings: what else is tied is a head's copy.
_SHARED_EMBEDDING = re.compile(r"(.*\.)?shared\.weight")
_EMBEDDING = re.compile(r"(.*\.)?(wte|embed_tokens|[a-z_]*embeddings?)\..*")


class Unusable(Exception):
    """No conversion: `detail` may hold words of the pickle."""

    def __init__(self, problem: Problem, detail: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True)
class Checkpoint:
    """`tied` are names of tensors that are the same memory as one in `tensors`, `dropped` keys of other values."""

    tensors: Mapping[str, torch.Tensor]
    tied: tuple[str, ...]
    dropped: tuple[str, ...]
    unwrapped: str | None


def read_checkpoint(file: BinaryIO) -> Checkpoint:
    """Raises Unusable, MemoryError; never runs what the pickle names."""
    loaded, unwrapped = _unwrap(_load(file))
    tensors = {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if not tensors:
        raise Unusable(Problem.NO_STATE_DICT, "none of its values is a tensor")
    if len(tensors) > MOST_TENSORS:
        raise Unusable(Problem.TOO_LARGE, f"{len(tensors)} tensors, at most {MOST_TENSORS} are converted")
    tied = _find_tied(tensors)
    return Checkpoint(
        tensors={name: tensor for name, tensor in tensors.items() if name not in tied},
        tied=tuple(sorted(tied)),
        dropped=tuple(sorted(str(key) for key in loaded.keys() - tensors.keys())),
        unwrapped=unwrapped,
    )


def write_safetensors(checkpoint: Checkpoint, *, descriptor: int, limit: int) -> None:
    """Raises Unusable for a tensor that the format does not hold, and for more than `limit` bytes of tensors."""
    arranged = arrange(_describe(name, tensor) for name, tensor in checkpoint.tensors.items())
    size = sum(tensor.size for tensor in arranged)
    if size > limit:
        raise Unusable(Problem.TOO_LARGE, f"{size} bytes of tensors, at most {limit} are written")
    try:
        header = render_header(arranged)
    except UnicodeEncodeError:
        raise Unusable(Problem.UNSUPPORTED_TENSOR, "a tensor's name is no text") from None
    _write(descriptor, data=memoryview(header))
    for described in arranged:
        values = checkpoint.tensors[described.name].detach().resolve_neg().contiguous().reshape(-1)
        _write(descriptor, data=values.view(torch.uint8).numpy().data)


def rehearse() -> None:
    """Read and write a few tensors in both forms of pickles, so that whatever is imported late is imported now."""
    shared = torch.arange(6.0).reshape(2, 3)
    tensors: dict[str, Any] = {"a": shared, "b": shared, "c": torch.nn.Parameter(shared.t()), "d": torch.tensor(True)}
    with open(os.devnull, "wb") as nowhere:
        for is_zip in (True, False):
            file = io.BytesIO()
            torch.save({_NESTED_KEY: tensors, "epoch": 1}, file, _use_new_zipfile_serialization=is_zip)
            file.seek(0)
            write_safetensors(read_checkpoint(file), descriptor=nowhere.fileno(), limit=1000)
    for damaged in (b"", b"PK\x03\x04", pickle.dumps(print), b"\x80\x02}."):
        try:
            read_checkpoint(io.BytesIO(damaged))
        except Unusable:
            continue


def _load(file: BinaryIO) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise Unusable(Problem.NOT_ONLY_TENSORS, _name_of_global(str(error))) from None
    except MemoryError:
        raise
    except Exception as error:
        if "can't allocate memory" in str(error):
            raise MemoryError from None
        raise Unusable(Problem.DAMAGED, type(error).__name__) from None


def _name_of_global(message: str) -> str:
    found = re.search(r"GLOBAL (\S+)", message)
    return found.group(1) if found else ""


def _unwrap(loaded: Any) -> tuple[Mapping[Any, Any], str | None]:
    if not isinstance(loaded, Mapping):
        raise Unusable(Problem.NO_STATE_DICT, f"it is of the type {type(loaded).__name__}")
    if any(isinstance(value, torch.Tensor) for value in loaded.values()):
        return loaded, None
    nested = loaded.get(_NESTED_KEY)
    if isinstance(nested, Mapping):
        return nested, _NESTED_KEY
    return loaded, None


def _find_tied(tensors: Mapping[str, torch.Tensor]) -> set[str]:
    """Names that would store what another tensor stores. Which one is kept depends on the names alone."""
    kept: set[tuple[Any, ...]] = set()
    tied = set()
    for name in sorted(tensors, key=_preference):
        tensor = tensors[name]
        if tensor.layout is not torch.strided or tensor.numel() == 0:
            continue
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.is_neg())
        if place in kept:
            tied.add(name)
        kept.add(place)
    return tied


def _preference(name: str) -> tuple[int, str]:
    if _SHARED_EMBEDDING.fullmatch(name):
        return 0, name
    return (1 if _EMBEDDING.fullmatch(name) else 2), name


def _describe(name: str, tensor: torch.Tensor) -> Described:
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None or tensor.layout is not torch.strided or tensor.device.type != "cpu" or name == "__metadata__":
        raise Unusable(Problem.UNSUPPORTED_TENSOR, f"{name} ({tensor.dtype}, {tensor.layout})")
    return Described(name=name, dtype=dtype, shape=tuple(tensor.shape))


def _write(descriptor: int, *, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
