"""How many tokens a model can number."""

import math
from collections.abc import Mapping
from typing import Any

from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Size
from embedding_model.inspection.families.table import Positions
from embedding_model.refusal import Reason, Refusal

_STRETCHING = ("yarn", "linear", "dynamic")
_MOST = 2**40  # tokens; what is larger is no length
_MOST_STRETCHED = 1024  # times; models were stretched 32 times at most
# Tokens of a model that has no table of positions. The longest read 10 million; classes keep a number for each.
_MOST_NUMBERED = 2**24
# Frequencies that change with the longest text of a batch: a text alone would get another vector than beside others.
_MOVING_ROTATIONS = ("dynamic", "longrope", "su")
# What frequencies are powers of, and what they are divided by, wherever a configuration has it.
_DIVISORS = frozenset(
    {"factor", "global_rope_theta", "local_rope_theta", "rope_local_base_freq", "rope_theta", "rotary_emb_base"}
)
_DEFAULT_PADDING = 1  # transformers' pad_token_id of RoBERTa and its kin


def learned(count: Size, *, tensor: str, reserved: int = 0) -> Positions:
    """A table of `count` position embeddings, the first `reserved` of which no token gets."""
    note = f", the first {reserved} reserved for padding" if reserved else ""
    return Positions(count=count.value - reserved, note=f"{count.value} positions{note}", tensor=tensor)


def reserved_for_padding(settings: Settings) -> int:
    """RoBERTa numbers tokens from the padding token's id + 1 on (create_position_ids_from_input_ids)."""
    padding = settings.config.integer("pad_token_id")
    if padding is not None and padding < 0:
        raise Refusal(
            Reason.INVALID_FILE, f"{settings.config.path}: expected pad_token_id to be 0 or more, found {padding}"
        )
    return (_DEFAULT_PADDING if padding is None else padding) + 1


def rotary(settings: Settings, *keys: str, default: int | None = None) -> Positions:
    """Rotary embeddings number any token; config.json says how many the model was made for.

    YaRN and linear scaling stretch `original_max_position_embeddings` by `factor`; the larger of the two counts.
    Raises Refusal: INVALID_FILE, UNSUPPORTED_ARCHITECTURE for a rotation that depends on the batch.
    """
    _check_rotation(settings)
    count = _bound(settings.size(*keys, default=default), settings=settings)
    stretched = _stretched(settings)
    if stretched > count.value:
        return Positions(count=stretched, note=f"rotary positions, {count.value} stretched by rope scaling")
    return Positions(count=count.value, note=f"rotary positions, {count.keys[0]} {count.value}")


def alibi(settings: Settings) -> Positions:
    """ALiBi biases attention by distance, without a table; config.json says how many tokens were meant."""
    count = _bound(settings.size("max_position_embeddings"), settings=settings)
    return Positions(count=count.value, note=f"ALiBi, max_position_embeddings {count.value}")


def relative(settings: Settings, count: Size) -> Positions:
    """Relative positions without a table of absolute ones."""
    _bound(count, settings=settings)
    return Positions(count=count.value, note=f"relative positions, {count.keys[0]} {count.value}")


def _bound(count: Size, *, settings: Settings) -> Size:
    """Raises Refusal(INVALID_FILE): no tensor shows that the number is true, and classes make buffers that long."""
    if count.value > _MOST_NUMBERED:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{settings.config.path}: {count.keys[0]} is {count.value}; expected at most {_MOST_NUMBERED}",
        )
    return count


def _check_rotation(settings: Settings) -> None:
    """Raises Refusal: UNSUPPORTED_ARCHITECTURE, INVALID_FILE."""
    _require_above_zero(settings, settings.config.values)
    for key in ("rope_parameters", "rope_scaling"):
        scaling = settings.config.mapping(key)
        for found in (scaling, *(part for part in scaling.values() if isinstance(part, dict))):
            _require_above_zero(settings, found)
            kind = found.get("rope_type", found.get("type"))
            if kind in _MOVING_ROTATIONS:
                raise Refusal(
                    Reason.UNSUPPORTED_ARCHITECTURE,
                    f'{settings.config.path}: {key} has the type "{kind}", with which a vector depends on the longest '
                    "text beside it; known are default, linear, llama3 and yarn. Remove it to serve the length that "
                    "the model was trained with",
                )


def _require_above_zero(settings: Settings, values: Mapping[str, Any]) -> None:
    """Frequencies that are not finite become NaN, which an attention kernel may take for nothing and go on."""
    for key in _DIVISORS & values.keys():
        value = values[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value < math.inf):
            raise Refusal(Reason.INVALID_FILE, f"{settings.config.path}: expected {key} to be a number above 0")


def _stretched(settings: Settings) -> int:
    for key in ("rope_parameters", "rope_scaling"):
        scaling = settings.config.mapping(key)
        original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
        kind = scaling.get("rope_type", scaling.get("type"))
        if kind in _STRETCHING and type(original) is int and isinstance(factor, int | float):
            return int(original * factor) if 0 < original < _MOST and 1 <= factor <= _MOST_STRETCHED else 0
    return 0
