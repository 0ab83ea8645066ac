"""ModernBERT and EuroBERT: rotary encoders with gated feed-forward layers, stored as transformers has them."""

from embedding_model.inspection.families.heads import (
    Head,
    HeadTensors,
    classifier,
    plain_language_head,
)
from embedding_model.inspection.families.positions import rotary
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import LABELS, Shape, Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes

_MODERN_WORDS = "embeddings.tok_embeddings.weight"
_WORDS = "embed_tokens.weight"


def _describe_modernbert(settings: Settings) -> Blueprint:
    """Biases are switched one by one; the first layer has no norm before its attention."""
    words, width = settings.size("vocab_size"), settings.size("hidden_size")
    inner = settings.size("intermediate_size")
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    settings.require("classifier_pooling", "cls", "mean", default="cls")
    for key in ("local_attention", "sliding_window"):
        settings.require_window(key)
    norm_bias, attention_bias = settings.flag("norm_bias"), settings.flag("attention_bias")
    mlp_bias = settings.flag("mlp_bias")
    layer = {
        **norm("attn_norm", width, bias=norm_bias),
        **linear("attn.Wqkv", width * 3, width, bias=attention_bias),
        **linear("attn.Wo", width, width, bias=attention_bias),
        **norm("mlp_norm", width, bias=norm_bias),
        **linear("mlp.Wi", inner * 2, width, bias=mlp_bias),
        **linear("mlp.Wo", width, inner, bias=mlp_bias),
    }
    layers = repeat("layers", settings.layers("num_hidden_layers"), layer)
    before = {
        **linear("head.dense", width, width, bias=settings.flag("classifier_bias")),
        **norm("head.norm", width, bias=norm_bias),
    }
    return Blueprint(
        body={
            _MODERN_WORDS: (words, width),
            **norm("embeddings.norm", width, bias=norm_bias),
            **{name: shape for name, shape in layers.items() if not name.startswith("layers.0.attn_norm.")},
            **norm("final_norm", width, bias=norm_bias),
        },
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=before),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width, before=before),
            Head.QUESTION_ANSWERING: HeadTensors(tensors={**before, **linear("classifier", LABELS, width)}),
            Head.MASKED_LANGUAGE_MODEL: _modern_language_head(settings, words=words, width=width, before=before),
        },
        width=width.value,
        words=_MODERN_WORDS,
        positions=rotary(settings, "max_position_embeddings", default=8192),
    )


def _modern_language_head(settings: Settings, *, words: Size, width: Size, before: dict[str, Shape]) -> HeadTensors:
    bias = settings.flag("decoder_bias", default=True)
    return HeadTensors(
        tensors={**before, **linear("decoder", words, width, bias=bias)},
        tied={"decoder.weight": _MODERN_WORDS} if settings.flag("tie_word_embeddings", default=True) else {},
    )


def _describe_eurobert(settings: Settings) -> Blueprint:
    """Llama's layers with attention in both directions."""
    words, width = settings.size("vocab_size"), settings.size("hidden_size")
    heads, inner = settings.size("num_attention_heads"), settings.size("intermediate_size")
    settings.require_even_heads(width, heads)
    pairs = settings.size("num_key_value_heads", default=heads)
    settings.require_even_heads(heads, pairs)
    head = settings.size("head_dim", default=Size(width.value // heads.value, width.keys))
    bias, mlp_bias = settings.flag("attention_bias"), settings.flag("mlp_bias")
    layer = {
        **linear("self_attn.q_proj", heads * head, width, bias=bias),
        **linear("self_attn.k_proj", pairs * head, width, bias=bias),
        **linear("self_attn.v_proj", pairs * head, width, bias=bias),
        **linear("self_attn.o_proj", width, heads * head, bias=bias),
        **linear("mlp.gate_proj", inner, width, bias=mlp_bias),
        **linear("mlp.up_proj", inner, width, bias=mlp_bias),
        **linear("mlp.down_proj", width, inner, bias=mlp_bias),
        **norm("input_layernorm", width, bias=False),
        **norm("post_attention_layernorm", width, bias=False),
    }
    return Blueprint(
        body={
            _WORDS: (words, width),
            **repeat("layers", settings.layers("num_hidden_layers"), layer),
            **norm("norm", width, bias=False),
        },
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=linear("dense", width, width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.MASKED_LANGUAGE_MODEL: plain_language_head(
                words, width, tie=settings.flag("tie_word_embeddings"), word_tensor=_WORDS, bias=mlp_bias
            ),
        },
        width=width.value,
        words=_WORDS,
        positions=rotary(settings, "max_position_embeddings", default=8192),
    )


MODERNBERT = Family(
    name="modernbert",
    classes=name_classes(
        "ModernBert",
        heads=(
            Head.SEQUENCE_CLASSIFICATION,
            Head.TOKEN_CLASSIFICATION,
            Head.QUESTION_ANSWERING,
            Head.MASKED_LANGUAGE_MODEL,
        ),
    ),
    prefixes=("model",),
    describe=_describe_modernbert,
    activation="hidden_activation",
    unused=("head.", "decoder."),
)
EUROBERT = Family(
    name="eurobert",
    classes=name_classes(
        "EuroBert", heads=(Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION, Head.MASKED_LANGUAGE_MODEL)
    ),
    prefixes=("model",),
    describe=_describe_eurobert,
    unused=("lm_head.",),
)
