"""Saved embedders, varied: sentence-transformers' own modules behind a seeded body, and other settings in its files."""

import importlib
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parity import load_reference

Build = Callable[[Any, int], Sequence[Any]]


def save_with_modules(folder: Path, *, body: Path, build: Build, prompts: dict[str, str] | None = None) -> Path:
    """The body of a saved embedder with other modules behind it, in the form that the installed version writes.

    `build` gets sentence-transformers' namespace of modules and the width of a token's vector, and returns the modules
    from the pooling on. Weights that they make for themselves are drawn anew from a fixed seed, none near zero.
    """
    import torch

    library = importlib.import_module("sentence_transformers.sentence_transformer.modules")
    reference = load_reference(body)
    modules = build(library, reference[0].get_embedding_dimension())
    source = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.5 + 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        built = importlib.import_module("sentence_transformers").SentenceTransformer(
            modules=[reference[0], *modules], prompts=prompts or {}, device="cpu"
        )
        built.save_pretrained(str(folder), create_model_card=False)
    return folder


def vary(folder: Path, *, body: Path, changes: dict[str, Any]) -> Path:
    """A copy of a saved embedder with other JSON files: `changes` by path, a dict updates what is there."""
    shutil.copytree(body, folder)
    for name, change in changes.items():
        path = folder / name
        written = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(written | change if isinstance(change, dict) else change))
    return folder
