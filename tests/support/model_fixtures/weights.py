"""Tensors of transformers' own classes: real names, real shapes for a tiny config.json, seeded numbers."""

import json
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from model_fixtures.formats import Stored, Tensors

_SEED = 11
_NOT_ARGUMENTS = frozenset({"architectures", "auto_map", "model_type", "torch_dtype", "transformers_version"})


def class_tensors(name: str, config: Mapping[str, Any]) -> dict[str, Stored]:
    """What `save_pretrained` of the class writes for this config: tied tensors once, under the hub's names."""
    return dict(_save(name, json.dumps({key: value for key, value in config.items() if key not in _NOT_ARGUMENTS})))


@cache
def _save(name: str, arguments: str) -> Tensors:
    import torch
    import transformers
    from safetensors.numpy import load_file

    kind = getattr(transformers, name)
    transformers.utils.logging.disable_progress_bar()  # one bar a fixture otherwise
    torch.manual_seed(_SEED)
    model = kind(kind.config_class(**json.loads(arguments)))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = load_file(Path(folder) / "model.safetensors")
    return {key: Stored(tuple(value.shape), data=value.tobytes()) for key, value in saved.items()}


def without_prefix(tensors: Tensors, prefix: str) -> dict[str, Stored]:
    """As a model is saved that was loaded without its head."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def as_bfloat16(tensors: Tensors) -> dict[str, Stored]:
    """The upper half of every float32, which is bfloat16 rounded towards zero."""
    return {
        name: Stored(tensor.shape, "BF16", None if tensor.data is None else _upper_halves(tensor.data))
        for name, tensor in tensors.items()
    }


def _upper_halves(data: bytes) -> bytes:
    return b"".join(data[start + 2 : start + 4] for start in range(0, len(data), 4))


def with_position_ids(tensors: Tensors, *, positions: int, prefix: str = "") -> dict[str, Stored]:
    """The buffer that transformers stored until 4.31: integers among the floats."""
    ids = b"".join(number.to_bytes(8, "little") for number in range(positions))
    return {f"{prefix}embeddings.position_ids": Stored((1, positions), "I64", ids), **tensors}


def linear(name: str, out: int, width: int, *, bias: bool = True) -> dict[str, Stored]:
    """A linear layer of zeros, for architectures that are written out by hand."""
    return {f"{name}.weight": Stored((out, width)), **({f"{name}.bias": Stored((out,))} if bias else {})}


def norm(name: str, *, width: int) -> dict[str, Stored]:
    return {f"{name}.weight": Stored((width,)), f"{name}.bias": Stored((width,))}
