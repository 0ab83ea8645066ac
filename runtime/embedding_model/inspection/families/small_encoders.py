"""MPNet, DistilBERT and ALBERT."""

from embedding_model.inspection.families.bert import (
    ENCODER_HEADS,
    POSITIONS,
    WORDS,
    embeddings,
    feed_forward,
    pooler,
    require_encoder,
    roberta_heads,
)
from embedding_model.inspection.families.heads import Head, HeadTensors, classifier, span_head
from embedding_model.inspection.families.positions import learned
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes

_MPNET_RESERVED = 2  # MPNetEmbeddings fixes padding_idx = 1 and numbers tokens from 2 on


def _describe_mpnet(settings: Settings) -> Blueprint:
    """One table of relative positions for all layers, beside the absolute ones."""
    require_encoder(settings)
    words, positions = settings.size("vocab_size"), settings.size("max_position_embeddings")
    width, inner, heads = (settings.size(key) for key in ("hidden_size", "intermediate_size", "num_attention_heads"))
    settings.require_even_heads(width, heads)
    layer = {
        **linear("attention.attn.q", width, width),
        **linear("attention.attn.k", width, width),
        **linear("attention.attn.v", width, width),
        **linear("attention.attn.o", width, width),
        **norm("attention.LayerNorm", width),
        **feed_forward(width, inner),
    }
    return Blueprint(
        body={
            **embeddings(words, positions, width, types=None),
            "encoder.relative_attention_bias.weight": (
                settings.size("relative_attention_num_buckets", default=32),
                heads,
            ),
            **repeat("encoder.layer", settings.layers("num_hidden_layers"), layer),
        },
        optional=(pooler(width),),
        heads=roberta_heads(settings, words=words, width=width),
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS, reserved=_MPNET_RESERVED),
    )


def _describe_distilbert(settings: Settings) -> Blueprint:
    """DistilBERT has its own names for sizes (`dim`, `n_layers` ...) and no token types."""
    require_encoder(settings)
    words, positions = settings.size("vocab_size"), settings.size("max_position_embeddings")
    width, inner = settings.size("dim"), settings.size("hidden_dim")
    settings.require_even_heads(width, settings.size("n_heads"))
    layer = {
        **linear("attention.q_lin", width, width),
        **linear("attention.k_lin", width, width),
        **linear("attention.v_lin", width, width),
        **linear("attention.out_lin", width, width),
        **norm("sa_layer_norm", width),
        **linear("ffn.lin1", inner, width),
        **linear("ffn.lin2", width, inner),
        **norm("output_layer_norm", width),
    }
    before = linear("pre_classifier", width, width)
    return Blueprint(
        body={
            **embeddings(words, positions, width, types=None),
            **repeat("transformer.layer", settings.layers("n_layers"), layer),
        },
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=before),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: HeadTensors(
                tensors={
                    **linear("vocab_transform", width, width),
                    **norm("vocab_layer_norm", width),
                    **linear("vocab_projector", words, width),
                },
                tied={"vocab_projector.weight": WORDS} if settings.flag("tie_word_embeddings", default=True) else {},
            ),
        },
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS),
    )


def _describe_albert(settings: Settings) -> Blueprint:
    """ALBERT's layers share weights: `num_hidden_groups` groups of `inner_group_num` layers are stored."""
    require_encoder(settings)
    words, positions = settings.size("vocab_size"), settings.size("max_position_embeddings")
    narrow, width = settings.size("embedding_size", default=128), settings.size("hidden_size")
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    settings.layers("num_hidden_layers")
    groups, layers = settings.layers("num_hidden_groups", default=1), settings.layers("inner_group_num", default=1)
    settings.bound_layers("num_hidden_groups x inner_group_num", count=groups * layers)
    inner = _albert_layer(width, settings.size("intermediate_size"))
    return Blueprint(
        body={
            **embeddings(words, positions, narrow, types=settings.size("type_vocab_size", default=2)),
            **linear("encoder.embedding_hidden_mapping_in", width, narrow),
            **repeat("encoder.albert_layer_groups", groups, repeat("albert_layers", layers, inner)),
        },
        optional=(linear("pooler", width, width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=linear("pooler", width, width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: _albert_language_head(settings, words=words, narrow=narrow, width=width),
        },
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS),
    )


def _albert_layer(width: Size, inner: Size) -> dict[str, tuple[Size, ...]]:
    return {
        **norm("full_layer_layer_norm", width),
        **linear("attention.query", width, width),
        **linear("attention.key", width, width),
        **linear("attention.value", width, width),
        **linear("attention.dense", width, width),
        **norm("attention.LayerNorm", width),
        **linear("ffn", inner, width),
        **linear("ffn_output", width, inner),
    }


def _albert_language_head(settings: Settings, *, words: Size, narrow: Size, width: Size) -> HeadTensors:
    tie = settings.flag("tie_word_embeddings", default=True)
    return HeadTensors(
        tensors={
            **linear("predictions.dense", narrow, width),
            **norm("predictions.LayerNorm", narrow),
            "predictions.bias": (words,),
            **linear("predictions.decoder", words, narrow),
        },
        tied={
            "predictions.bias": "predictions.decoder.bias",
            "predictions.decoder.bias": "predictions.bias",
            **({"predictions.decoder.weight": WORDS} if tie else {}),
        },
    )


MPNET = Family(
    name="mpnet",
    classes=name_classes("MPNet", heads=ENCODER_HEADS),
    prefixes=("mpnet",),
    describe=_describe_mpnet,
    unused=("pooler.", "lm_head."),
)
DISTILBERT = Family(
    name="distilbert",
    classes=name_classes("DistilBert", heads=ENCODER_HEADS),
    prefixes=("distilbert",),
    describe=_describe_distilbert,
    activation="activation",
    unused=("vocab_transform.", "vocab_layer_norm.", "vocab_projector."),
)
ALBERT = Family(
    name="albert",
    classes=name_classes("Albert", heads=ENCODER_HEADS),
    prefixes=("albert",),
    describe=_describe_albert,
    unused=("pooler.", "predictions.", "sop_classifier."),
    leftovers=("sop_classifier.",),
)
