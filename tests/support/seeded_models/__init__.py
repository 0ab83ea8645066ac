"""Tiny models of every family: transformers' own class with seeded weights, saved as such models are published.

Their numbers mean nothing and are large, so that a wrong position, mask, activation or layer shows.
"""

from pathlib import Path
from typing import Any

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from seeded_models.decoders import DECODERS
from seeded_models.encoders import ENCODERS
from seeded_models.recipe import Recipe
from seeded_models.save import name_types, save_model, save_sentence_files
from seeded_models.tokenizers import ByteLevel, WordPiece

__all__ = ["DECODERS", "ENCODERS", "RECIPES", "ByteLevel", "Recipe", "WordPiece", "build"]

RECIPES = {**ENCODERS, **DECODERS}


def build(
    folder: Path,
    *,
    family: str,
    head: Head | None = None,
    labels: int = 1,
    pooling: str = "mean",
    normalize: bool = True,
    include_prompt: bool = True,
    prompts: dict[str, str] | None = None,
    max_length: int = 64,
    layers: int = 2,
    seed: int = 7,
    spread: float | None = None,
    tokenizer: WordPiece | ByteLevel | None = None,
    **config: Any,
) -> Path:
    """A model of `family` in `folder`: its body as an embedder, or with `head` and `labels` outputs.

    `pooling` is the name of one of sentence-transformers' modes. `max_length` tokens are as many as the model numbers.
    `spread` is the standard deviation of matrices; None: the recipe's. `config` are further values for transformers'
    configuration class. Equal arguments give equal bytes.
    """
    recipe = RECIPES[family]
    chosen = tokenizer or recipe.tokenizer
    width = save_model(
        folder,
        start=recipe.start,
        name=FAMILIES[family].classes[head],
        labels=None if head is None else labels,
        values={
            **recipe.sizes(layers=layers, positions=max_length, tokenizer=chosen),
            **config,
        },
        seed=seed,
        spread=recipe.spread if spread is None else spread,
    )
    chosen.save(folder, max_length=max_length)
    if isinstance(chosen, WordPiece) and chosen.types:
        name_types(folder, name=FAMILIES[family].classes[head])
    if head is None:
        save_sentence_files(
            folder,
            width=width,
            pooling=pooling,
            normalize=normalize,
            include_prompt=include_prompt,
            prompts=prompts or {},
            max_length=max_length,
        )
    return folder
