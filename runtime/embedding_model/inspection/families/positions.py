"""How many tokens a model can number."""

from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Size
from embedding_model.inspection.families.table import Positions
from embedding_model.refusal import Reason, Refusal

_STRETCHING = ("yarn", "linear", "dynamic")
_MOST = 2**40  # tokens; what is larger is no length
_MOST_STRETCHED = 1024  # times; models were stretched 32 times at most
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
    """
    count = settings.size(*keys, default=default)
    stretched = _stretched(settings)
    if stretched > count.value:
        return Positions(count=stretched, note=f"rotary positions, {count.value} stretched by rope scaling")
    return Positions(count=count.value, note=f"rotary positions, {count.keys[0]} {count.value}")


def alibi(settings: Settings) -> Positions:
    """ALiBi biases attention by distance, without a table; config.json says how many tokens were meant."""
    count = settings.size("max_position_embeddings")
    return Positions(count=count.value, note=f"ALiBi, max_position_embeddings {count.value}")


def relative(count: Size) -> Positions:
    """Relative positions without a table of absolute ones."""
    return Positions(count=count.value, note=f"relative positions, {count.keys[0]} {count.value}")


def _stretched(settings: Settings) -> int:
    for key in ("rope_parameters", "rope_scaling"):
        scaling = settings.config.mapping(key)
        original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
        kind = scaling.get("rope_type", scaling.get("type"))
        if kind in _STRETCHING and type(original) is int and isinstance(factor, int | float):
            return int(original * factor) if 0 < original < _MOST and 1 <= factor <= _MOST_STRETCHED else 0
    return 0
