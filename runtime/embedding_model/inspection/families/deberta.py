"""DeBERTa v2 and v3: disentangled attention over relative positions."""

from embedding_model.inspection.families.bert import ENCODER_HEADS, POSITIONS, WORDS, attention, feed_forward
from embedding_model.inspection.families.heads import Head, HeadTensors, bert_language_head, classifier, span_head
from embedding_model.inspection.families.positions import learned, relative
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Shape, Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes
from embedding_model.refusal import Reason, Refusal

_POSITION_TYPES = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}


def _describe(settings: Settings) -> Blueprint:
    settings.require("position_embedding_type", "absolute", None)
    words, positions = settings.size("vocab_size"), settings.size("max_position_embeddings")
    width, inner = settings.size("hidden_size"), settings.size("intermediate_size")
    narrow = settings.size("embedding_size", default=width)
    heads = settings.size("num_attention_heads")
    settings.require_even_heads(width, heads)
    head = settings.size("attention_head_size", default=Size(width.value // heads.value, width.keys))
    layer = {
        **attention(width, query="query_proj", key="key_proj", value="value_proj"),
        **_projections(heads * head, width),
        **_relative_projections(settings, rows=heads * head, width=width),
        **feed_forward(width, inner),
    }
    biased = settings.flag("position_biased_input", default=True)
    return Blueprint(
        body={
            **_embeddings(settings, words=words, positions=positions if biased else None, narrow=narrow, width=width),
            **repeat("encoder.layer", settings.layers("num_hidden_layers"), layer),
            **_relative_embeddings(settings, positions=positions, width=width),
            **_convolution(settings, width=width),
        },
        heads={
            Head.SEQUENCE_CLASSIFICATION: _classification_head(settings, width=width),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: _language_head(settings, words=words, narrow=narrow, width=width),
        },
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS) if biased else relative(settings, positions),
    )


def _projections(rows: Size, width: Size) -> dict[str, Shape]:
    names = ("query_proj", "key_proj", "value_proj")
    return {key: shape for name in names for key, shape in linear(f"attention.self.{name}", rows, width).items()}


def _relative_projections(settings: Settings, *, rows: Size, width: Size) -> dict[str, Shape]:
    """Extra keys and queries for positions, unless they share those of the content."""
    if not settings.flag("relative_attention") or settings.flag("share_att_key"):
        return {}
    tensors: dict[str, Shape] = {}
    for kind in _position_types(settings):
        if kind in _POSITION_TYPES:
            tensors |= linear(f"attention.self.{_POSITION_TYPES[kind]}", rows, width)
    return tensors


def _position_types(settings: Settings) -> list[str]:
    """pos_att_type is a list, or one string with bars between the kinds."""
    written = settings.config.values.get("pos_att_type")
    if isinstance(written, str):
        return [kind.strip() for kind in written.lower().split("|")]
    return list(settings.config.texts("pos_att_type"))


def _embeddings(
    settings: Settings, *, words: Size, positions: Size | None, narrow: Size, width: Size
) -> dict[str, Shape]:
    types = settings.optional_size("type_vocab_size")
    return {
        WORDS: (words, narrow),
        **({POSITIONS: (positions, narrow)} if positions else {}),
        **({"embeddings.token_type_embeddings.weight": (types, narrow)} if types else {}),
        **(linear("embeddings.embed_proj", width, narrow, bias=False) if narrow.value != width.value else {}),
        **norm("embeddings.LayerNorm", width),
    }


def _relative_embeddings(settings: Settings, *, positions: Size, width: Size) -> dict[str, Shape]:
    """One table for all layers: of `position_buckets` distances either way, or of all of them."""
    if not settings.flag("relative_attention"):
        return {}
    reach = next(
        (
            settings.size(key)
            for key in ("position_buckets", "max_relative_positions")
            if (settings.config.integer(key) or 0) > 0
        ),
        positions,
    )
    normed = "layer_norm" in (settings.text("norm_rel_ebd") or "none").lower().split("|")
    return {
        "encoder.rel_embeddings.weight": (reach * 2, width),
        **(norm("encoder.LayerNorm", width) if normed else {}),
    }


def _convolution(settings: Settings, *, width: Size) -> dict[str, Shape]:
    kernel = settings.optional_size("conv_kernel_size")
    if kernel is None:
        return {}
    groups = settings.size("conv_groups", default=1)
    if width.value % groups.value:
        raise Refusal(
            Reason.CONTRADICTORY_EVIDENCE,
            f"{settings.config.path}: hidden_size {width.value} cannot be divided among conv_groups {groups.value}",
        )
    columns = Size(width.value // groups.value, width.keys + groups.keys)
    return {
        "encoder.conv.conv.weight": (width, columns, kernel),
        "encoder.conv.conv.bias": (width,),
        **norm("encoder.conv.LayerNorm", width),
    }


def _classification_head(settings: Settings, *, width: Size) -> HeadTensors:
    pooled = settings.size("pooler_hidden_size", default=width)
    return classifier("classifier", pooled, before=linear("pooler.dense", pooled, pooled))


def _language_head(settings: Settings, *, words: Size, narrow: Size, width: Size) -> HeadTensors:
    if settings.flag("legacy", default=True):
        tie = settings.flag("tie_word_embeddings", default=True)
        return bert_language_head(words, width, narrow=narrow, tie=tie, word_tensor=WORDS)
    return HeadTensors(
        tensors={
            **linear("lm_predictions.lm_head.dense", width, width),
            **norm("lm_predictions.lm_head.LayerNorm", width),
            "lm_predictions.lm_head.bias": (words,),
        }
    )


DEBERTA_V2 = Family(
    name="deberta-v2",
    classes=name_classes("DebertaV2", heads=ENCODER_HEADS),
    prefixes=("deberta",),
    describe=_describe,
    unused=("cls.", "lm_predictions.", "mask_predictions."),
    # Microsoft's own checkpoints hold the heads of their training, which no class of transformers reads whole.
    # The table of positions is there too where the configuration makes no use of it.
    leftovers=("lm_predictions.", "mask_predictions.", "embeddings.position_embeddings."),
    avoid_dtypes=("float16",),  # its scores overflow where |x| > 65504, and eager attention masks with that minimum
)
