"""Jina BERT (v2): BERT without position embeddings. ALiBi biases attention, and the feed-forward layers are gated.

transformers has no class for it; config.json says "bert". The tensors are those of jinaai/jina-bert-implementation and,
with norms on queries and keys, of jinaai/jina-bert-v2-qk-post-norm.
"""

from embedding_model.inspection.families.bert import (
    ENCODER_HEADS,
    WORDS,
    attention,
    feed_forward,
    pooler,
)
from embedding_model.inspection.families.heads import Head, bert_language_head, classifier, span_head
from embedding_model.inspection.families.positions import alibi
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Shape, Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes


def _describe(settings: Settings) -> Blueprint:
    width, inner = settings.size("hidden_size"), settings.size("intermediate_size")
    if settings.holds("mlp.gated_layers."):
        settings.require_native("feed_forward_type", "geglu", "reglu", None)
        gated = {
            **linear("mlp.gated_layers", inner * 2, width, bias=False),
            **linear("mlp.wo", width, inner),
            **norm("mlp.layernorm", width),
        }
    else:
        settings.require_native("feed_forward_type", "original", None)
        gated = feed_forward(width, inner)
    return _blueprint(settings, width=width, layer={**attention(width), **gated})


def _describe_code(settings: Settings) -> Blueprint:
    settings.require_native("feed_forward_type", "geglu", "reglu", None)
    width, inner = settings.size("hidden_size"), settings.size("intermediate_size")
    layer = {
        **attention(width),
        **norm("attention.self.layer_norm_q", width),
        **norm("attention.self.layer_norm_k", width),
        **norm("layer_norm_1", width),
        **norm("layer_norm_2", width),
        **linear("mlp.up_gated_layer", inner * 2, width, bias=False),
        **linear("mlp.down_layer", width, inner),
    }
    return _blueprint(settings, width=width, layer=layer)


def _blueprint(settings: Settings, *, width: Size, layer: dict[str, Shape]) -> Blueprint:
    settings.require_native("position_embedding_type", "alibi", None)
    settings.require("is_decoder", False, None)
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    words, types = settings.size("vocab_size"), settings.size("type_vocab_size", default=2)
    tie = settings.flag("tie_word_embeddings", default=True)
    return Blueprint(
        body={
            WORDS: (words, width),
            "embeddings.token_type_embeddings.weight": (types, width),
            **norm("embeddings.LayerNorm", width),
            **repeat("encoder.layer", settings.layers("num_hidden_layers"), layer),
        },
        optional=(pooler(width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=pooler(width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: bert_language_head(words, width, tie=tie, word_tensor=WORDS),
        },
        width=width.value,
        words=WORDS,
        positions=alibi(settings),
    )


JINA_BERT, JINA_BERT_CODE = (
    Family(
        name=name,
        classes=name_classes("JinaBert", heads=ENCODER_HEADS),
        prefixes=("bert",),
        describe=describe,
        unused=("pooler.", "cls."),
    )
    for name, describe in (("jina_bert", _describe), ("jina_bert_code", _describe_code))
)
