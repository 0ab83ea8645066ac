"""Models whose weights are a pickle, as old repositories have them."""

import io
import json
from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from tiny_models import tiny_embedder


def noisy_tensors(*, seed: int) -> dict[str, torch.Tensor]:
    """Tensors of a tiny embedder; another seed gives other values."""
    generator = torch.Generator().manual_seed(seed)
    zeros = load(tiny_embedder()["model.safetensors"])
    return {name: torch.randn(zeros[name].shape, generator=generator) for name in sorted(zeros)}


def pickled(tensors: Mapping[str, torch.Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(dict(tensors), file)
    return file.getvalue()


def model_files(*, pickle_seed: int | None, safetensors_seed: int | None = None) -> dict[str, bytes]:
    """A tiny embedder with a pickle, safetensors or both, each with values of its own."""
    files = tiny_embedder()
    del files["model.safetensors"]
    if pickle_seed is not None:
        files["pytorch_model.bin"] = pickled(noisy_tensors(seed=pickle_seed))
    if safetensors_seed is not None:
        files["model.safetensors"] = save(noisy_tensors(seed=safetensors_seed), metadata={"format": "pt"})
    return files


def sharded_files(*, seed: int) -> dict[str, bytes]:
    """A tiny embedder whose pickle comes in two shards with their index."""
    files = model_files(pickle_seed=None)
    names = sorted(tensors := noisy_tensors(seed=seed))
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    weight_map = {}
    for number, half in enumerate(halves, start=1):
        path = f"pytorch_model-{number:05d}-of-00002.bin"
        files[path] = pickled({name: tensors[name] for name in half})
        weight_map |= dict.fromkeys(half, path)
    files["pytorch_model.bin.index.json"] = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    return files
