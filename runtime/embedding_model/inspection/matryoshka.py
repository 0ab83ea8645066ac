"""Vectors that may be cut: the sizes that a model was trained for, and what comes before the cut.

Cutting is the same everywhere but for models that were trained with a layer norm over the whole vector first (without
weights of its own): nomic-embed-text-v1.5 and what is made of it. No file says so, only the card's text: its code shows
the norm right before the cut, and one repository is known by its name.
"""

from dataclasses import dataclass

from embedding_model.inspection.card import CARD_FILE, Card
from embedding_model.inspection.card_prompts import name_repository
from embedding_model.inspection.documents import JsonObject
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence, Origin

# By repository, as its authors' card shows it.
_NORMALISED_BEFORE = frozenset({"nomic-ai/nomic-embed-text-v1.5"})


@dataclass(frozen=True)
class Matryoshka:
    """`sizes` in ascending order; `layer_norm_before_cut`: over the whole vector, only where it is cut."""

    sizes: tuple[int, ...]
    layer_norm_before_cut: bool
    evidence: tuple[Evidence, ...]


def read_matryoshka(config: JsonObject, *, card: Card, origin: Origin, dimensions: int) -> Matryoshka:
    """`dimensions` is the width of the whole vector. Raises Refusal(INVALID_FILE) for sizes that are none."""
    found = _find_sizes(config, card=card, dimensions=dimensions)
    value = ", ".join(str(size) for size in found.sizes) or "none"
    sizes = Evidence(field="matryoshkaDimensions", value=value, file=found.file, key=found.key, note=found.note)
    norm = _find_layer_norm(origin, config=config, card=card)
    return Matryoshka(found.sizes, norm is not None, (sizes,) if norm is None else (sizes, norm))


@dataclass(frozen=True)
class _Sizes:
    sizes: tuple[int, ...]
    file: str
    key: str
    note: str | None


def _find_sizes(config: JsonObject, *, card: Card, dimensions: int) -> _Sizes:
    """config.json's (vLLM reads them too), else the card's."""
    key = "matryoshka_dimensions"
    declared = config.values.get(key)
    if declared is not None:
        if not isinstance(declared, list) or not all(type(size) is int and 0 < size <= dimensions for size in declared):
            raise Refusal(
                Reason.INVALID_FILE,
                f"{config.path}: expected {key} to be a list of whole numbers from 1 to {dimensions}",
            )
        return _Sizes(tuple(sorted(set(declared))), config.path, key, None)
    if card.matryoshka_dimensions and card.matryoshka_dimensions[-1] <= dimensions:
        note = "weak evidence: the training loss that the model card shows"
        return _Sizes(card.matryoshka_dimensions, CARD_FILE, "matryoshka_dims", note)
    return _Sizes((), config.path, key, "none declared")


def _find_layer_norm(origin: Origin, *, config: JsonObject, card: Card) -> Evidence | None:
    named = name_repository(origin, config=config)
    if named is not None and named.repository.lower() in _NORMALISED_BEFORE:
        file, key = named.file, named.key
        note = f"no file declares it: the model card of {named.repository} does, known by its name"
    elif card.layer_norm_before_cut:
        file, key = CARD_FILE, "layer_norm"
        note = "weak evidence: code in the model card puts a layer norm over the whole vector right before the cut"
    else:
        return None
    return Evidence(field="layerNormBeforeCut", value="true", file=file, key=key, note=note)
