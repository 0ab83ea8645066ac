"""safetensors in memory to tensors, and tensors into a model, with nothing missing and nothing left over."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import orjson
import torch
from torch import nn

from embedding_model.inspection.families import Blueprint, Family, canonical_names
from embedding_model.inspection.families.heads import Head
from embedding_model.inspection.families.table import is_buffer
from embedding_model.inspection.tensors import LENGTH_BYTES, parse_header, read_header_length
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.files import Files

SUFFIX = ".safetensors"
INDEX = "model.safetensors.index.json"
SHOWN_KEYS = 5

# Tensors by the names that inspection has for them to tensors by the names of a class.
Convert = Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]

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


def read_tensors(files: Files) -> dict[str, torch.Tensor]:
    """All tensors of the model's own weight files (those in its root), as views on the bytes in `files`.

    Raises Refusal: MISSING_FILE without weights, INVALID_FILE for a tensor that occurs twice and, as inspection does,
    for a malformed file, INCOMPLETE_WEIGHTS, UNSUPPORTED_FORMAT, TOO_LARGE.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in _weight_files(files):
        if path not in files:
            raise Refusal(Reason.MISSING_FILE, f"{INDEX} names {path}, which is not there.")
        for name, tensor in _parse(path, data=files[path]):
            if name in tensors:
                raise Refusal(Reason.INVALID_FILE, f"{path} holds the tensor {name} that another file holds too.")
            tensors[name] = tensor
    if not tensors:
        raise Refusal(Reason.MISSING_FILE, "The model has no safetensors weights in its root.")
    return tensors


def _weight_files(files: Files) -> list[str]:
    if index := files.get(INDEX):
        try:
            return sorted(set(orjson.loads(index)["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal(Reason.INVALID_FILE, f"{INDEX} does not say which tensor is in which file.") from error
    return sorted(path for path in files if path.endswith(SUFFIX) and "/" not in path)


def _parse(path: str, *, data: bytearray) -> Iterator[tuple[str, torch.Tensor]]:
    size = len(data)
    length = read_header_length(bytes(data[:LENGTH_BYTES]), path=path, size=size)
    base = LENGTH_BYTES + length
    for stored, (start, _) in parse_header(bytes(data[LENGTH_BYTES:base]), path=path, length=length, size=size):
        dtype, count = _DTYPES[stored.dtype], stored.parameters
        if count == 0:
            yield stored.name, torch.empty(stored.shape, dtype=dtype)
        else:
            yield (
                stored.name,
                torch.frombuffer(data, dtype=dtype, count=count, offset=base + start).reshape(stored.shape),
            )


def assign(
    model: nn.Module,
    *,
    tensors: dict[str, torch.Tensor],
    family: Family,
    blueprint: Blueprint,
    head: Head | None,
    convert: Convert = dict,
) -> None:
    """Put the tensors into the model in place of its parameters, under the names that inspection knows them by.

    `convert` takes them by those names and gives what the model's class calls them.

    Raises Refusal: INCOMPLETE_WEIGHTS for a parameter without a tensor (it would be random), UNEXPECTED_WEIGHTS for a
    tensor that belongs nowhere, INVALID_FILE for a wrong shape.
    """
    named = {known: tensors[name] for name, known in canonical_names(tensors, family=family).items()}
    for name, twin in {**blueprint.tied, **(blueprint.heads[head].tied if head else {})}.items():
        if name not in named and twin in named:
            named[name] = named[twin]
    named = convert(named)
    own = {name: _without_prefix(name, model=model) for name, _ in model.named_parameters(remove_duplicate=False)}
    wanted = {own[name]: tuple(parameter.shape) for name, parameter in model.named_parameters(remove_duplicate=False)}
    missing = sorted(wanted.keys() - named.keys())
    if missing:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"The weights lack {_list(missing)} of {type(model).__name__}; those layers would be random.",
        )
    known = {*wanted, *(name for other in blueprint.heads.values() for name in other.tensors)}
    unexpected = sorted(
        name for name in named.keys() - known if not name.startswith(family.unused) and not is_buffer(name)
    )
    if unexpected:
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS,
            f"The weights hold {_list(unexpected)}, which {type(model).__name__} does not know; "
            "ignoring them would serve another model than the one that was trained.",
        )
    for name, shape in wanted.items():
        if tuple(named[name].shape) != shape:
            found = list(named[name].shape)
            raise Refusal(
                Reason.INVALID_FILE, f"{name} should have the shape {list(shape)} by config.json; the file has {found}."
            )
    model.load_state_dict({name: named[known] for name, known in own.items()}, strict=False, assign=True)


def place(model: nn.Module, *, device: torch.device, dtype: torch.dtype) -> None:
    """Move the model to its device and its parameters to their dtype.

    Buffers keep the dtype that the class computed them in: rotary frequencies in half precision would put the tokens of
    a long text in other places.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(device=device, dtype=dtype)
    model.to(device=device)


def _without_prefix(name: str, *, model: nn.Module) -> str:
    """The name that inspection has for a parameter: without what a class with a head puts before its body's names."""
    prefix = getattr(model, "base_model_prefix", "")
    return name.removeprefix(f"{prefix}.") if prefix else name


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_KEYS])
    return shown if len(names) <= SHOWN_KEYS else f"{shown} and {len(names) - SHOWN_KEYS} more"


@contextlib.contextmanager
def parameters_without_memory() -> Iterator[None]:
    """Parameters made inside live on the meta device and are not initialised; buffers are real: no checkpoint has them.

    Building a model the usual way would fill every weight with random numbers only to overwrite it, and initialising
    on the meta device makes torch import its compiler, which takes seconds.
    """
    with contextlib.ExitStack() as stack:
        for name in _INITIALISERS:
            stack.callback(setattr, nn.init, name, getattr(nn.init, name))
            setattr(nn.init, name, _leave)
        stack.callback(setattr, nn.Module, "register_parameter", nn.Module.register_parameter)
        nn.Module.register_parameter = _register_on_meta  # type: ignore[method-assign, assignment]
        yield


_INITIALISERS = tuple(name for name in dir(nn.init) if name.endswith("_") and not name.startswith("_"))
_register = nn.Module.register_parameter


def _register_on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
    if param is not None:
        param = nn.Parameter(param.to("meta"), requires_grad=False)
    _register(module, name, param)


def _leave(tensor: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
    return tensor
