"""A repository with a sentence-transformers layout and weights that are noise: enough to be listed and downloaded."""

import json
import random
from pathlib import Path

from model_folders import write_files

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
LOADED = (
    "1_Pooling/config.json",
    "config.json",
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
)


def small_model_files(*, seed: int = 0, weights_size: int = 1_500_000) -> dict[str, bytes]:
    """Path -> content. The weights are large enough to be an LFS file, and differ by seed."""
    return {
        "README.md": b"# A small model\n",
        "config.json": json.dumps({"model_type": "bert", "hidden_size": 64, "seed": seed}).encode(),
        "modules.json": json.dumps(MODULES).encode(),
        "1_Pooling/config.json": json.dumps({"pooling_mode_mean_tokens": True}).encode(),
        "tokenizer.json": json.dumps({"version": "1.0"}).encode(),
        "model.safetensors": random.Random(seed).randbytes(weights_size),
    }


def write_small_model(folder: Path, *, seed: int = 0, weights_size: int = 1_500_000) -> Path:
    return write_files(folder, small_model_files(seed=seed, weights_size=weights_size))
