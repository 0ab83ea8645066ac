"""Tensors into a model, with nothing missing and nothing left over."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import nn

from embedding_model.inspection.families import Blueprint, Family, canonical_names
from embedding_model.inspection.families.heads import Head
from embedding_model.inspection.families.table import is_buffer
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.architectures.stored import Weights, read_tensors

__all__ = ["assign", "parameters_without_memory", "place_buffers", "read_tensors"]

SHOWN_KEYS = 5

# Tensors by the names that inspection has for them to tensors by the names of a class.
Convert = Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
# What is done to a linear layer as soon as it has its weight, so that only one is in memory as it was stored.
Quantize = Callable[[nn.Linear], None]


def assign(
    model: nn.Module,
    *,
    weights: Weights,
    family: Family,
    blueprint: Blueprint,
    head: Head | None,
    device: torch.device,
    dtype: torch.dtype,
    convert: Convert = dict,
    quantize: Quantize | None = None,
) -> None:
    """Put the tensors into the model in place of its parameters, under the names that inspection knows them by.

    Each is read, cast to `dtype` on `device` and put in its place before the next is read. `convert` takes tensors by
    inspection's names and gives what the model's class calls them; it needs all of them at once.

    Raises Refusal: INCOMPLETE_WEIGHTS for a parameter without a tensor (it would be random), UNEXPECTED_WEIGHTS for a
    tensor that belongs nowhere, INVALID_FILE for a wrong shape and for NaN or infinity; what reading raises.
    """
    stored = {known: name for name, known in canonical_names(weights.shapes, family=family).items()}
    for name, twin in {**blueprint.tied, **(blueprint.heads[head].tied if head else {})}.items():
        if name not in stored and twin in stored:
            stored[name] = stored[twin]
    if convert is dict:
        shapes = {known: weights.shapes[name] for known, name in stored.items()}
        places = _find_places(model, shapes=shapes, family=family, blueprint=blueprint)
        wanted: dict[str, list[str]] = {}
        for known, targets in places.items():
            wanted.setdefault(stored[known], []).extend(targets)
        found: Iterable[tuple[str, torch.Tensor]] = weights.read(wanted.keys(), dtype=dtype, device=device)
    else:
        read = dict(weights.read(set(stored.values()), dtype=dtype, device=device))
        tensors = convert({known: read[name] for known, name in stored.items()})
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wanted = _find_places(model, shapes=shapes, family=family, blueprint=blueprint)
        found = ((name, tensors[name]) for name in wanted)
    for name, tensor in found:
        _require_numbers(tensor, name=name, dtype=dtype)
        for target in wanted[name]:
            _put(model, name=target, tensor=tensor, quantize=quantize)
        del tensor  # it may live on in a rounded form only


def _find_places(
    model: nn.Module, *, shapes: Mapping[str, tuple[int, ...]], family: Family, blueprint: Blueprint
) -> dict[str, list[str]]:
    """Where each tensor belongs: its name to those of the model's parameters. Raises as `assign` does."""
    places: dict[str, list[str]] = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        places.setdefault(_without_prefix(name, model=model), []).append(name)
    missing = sorted(places.keys() - shapes.keys())
    if missing:
        raise Refusal(
            Reason.INCOMPLETE_WEIGHTS,
            f"The weights lack {_list(missing)} of {type(model).__name__}; those layers would be random.",
        )
    known_names = {*places, *(name for other in blueprint.heads.values() for name in other.tensors)}
    unexpected = sorted(
        name for name in shapes.keys() - known_names if not name.startswith(family.unused) and not is_buffer(name)
    )
    if unexpected:
        raise Refusal(
            Reason.UNEXPECTED_WEIGHTS,
            f"The weights hold {_list(unexpected)}, which {type(model).__name__} does not know; "
            "ignoring them would serve another model than the one that was trained.",
        )
    for known, names in places.items():
        shape = tuple(model.get_parameter(names[0]).shape)
        if shapes[known] != shape:
            raise Refusal(
                Reason.INVALID_FILE,
                f"{known} should have the shape {list(shape)} by config.json; the file has {list(shapes[known])}.",
            )
    return places


def _require_numbers(tensor: torch.Tensor, *, name: str, dtype: torch.dtype) -> None:
    """NaN does not always reach the answer: rounding makes numbers of it, and attention kernels leave it out."""
    if tensor.numel() and not all(bool(extreme.isfinite()) for extreme in torch.aminmax(tensor)):
        raise Refusal(
            Reason.INVALID_FILE,
            f"{name} holds NaN or infinity, or values too large for {str(dtype).removeprefix('torch.')}: use a "
            "working revision of the weights, or, with half precision, runtime.dtype Float32.",
        )


def _put(model: nn.Module, *, name: str, tensor: torch.Tensor, quantize: Quantize | None) -> None:
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    setattr(module, leaf, nn.Parameter(tensor, requires_grad=False))
    if quantize is not None and leaf == "weight" and isinstance(module, nn.Linear):
        quantize(module)


def place_buffers(model: nn.Module, *, device: torch.device) -> None:
    """Move the model's buffers to its device. They keep the dtype that the class computed them in: rotary frequencies
    in half precision would put the tokens of a long text in other places.
    """
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device=device))


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
