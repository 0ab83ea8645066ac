"""BERT and the encoders with its layers: RoBERTa, XLM-R, CamemBERT, ELECTRA."""

from collections.abc import Mapping

from embedding_model.inspection.families.heads import (
    Head,
    HeadTensors,
    bert_language_head,
    classifier,
    roberta_language_head,
    span_head,
    two_layer_classifier,
)
from embedding_model.inspection.families.positions import learned, reserved_for_padding
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Shape, Size, Tensors, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"

ENCODER_HEADS = (
    Head.SEQUENCE_CLASSIFICATION,
    Head.TOKEN_CLASSIFICATION,
    Head.QUESTION_ANSWERING,
    Head.MASKED_LANGUAGE_MODEL,
)


def embeddings(words: Size, positions: Size, width: Size, *, types: Size | None) -> dict[str, Shape]:
    """Words, positions, and token types where there are any, under one norm."""
    return {
        WORDS: (words, width),
        POSITIONS: (positions, width),
        **({_TYPES: (types, width)} if types else {}),
        **norm("embeddings.LayerNorm", width),
    }


def feed_forward(width: Size, inner: Size) -> dict[str, Shape]:
    """intermediate and output of one layer."""
    return {
        **linear("intermediate.dense", inner, width),
        **linear("output.dense", width, inner),
        **norm("output.LayerNorm", width),
    }


def attention(width: Size, *, query: str = "query", key: str = "key", value: str = "value") -> dict[str, Shape]:
    """attention.self and attention.output of one layer."""
    return {
        **linear(f"attention.self.{query}", width, width),
        **linear(f"attention.self.{key}", width, width),
        **linear(f"attention.self.{value}", width, width),
        **linear("attention.output.dense", width, width),
        **norm("attention.output.LayerNorm", width),
    }


def pooler(width: Size) -> dict[str, Shape]:
    """A layer on the first token, which classification heads stand on and embedders do without."""
    return linear("pooler.dense", width, width)


def require_encoder(settings: Settings) -> None:
    """Raises Refusal where config.json turns the encoder into a decoder or gives it positions of another kind."""
    settings.require("is_decoder", False, None)
    settings.require("add_cross_attention", False, None)
    settings.require("position_embedding_type", "absolute", None)


def _read_sizes(settings: Settings) -> tuple[Size, Size, Size, Tensors]:
    """Words, positions, width and the layers, as BERT and RoBERTa have them."""
    require_encoder(settings)
    width, inner = settings.size("hidden_size"), settings.size("intermediate_size")
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    layer = {**attention(width), **feed_forward(width, inner)}
    layers = repeat("encoder.layer", settings.layers("num_hidden_layers"), layer)
    return settings.size("vocab_size"), settings.size("max_position_embeddings"), width, layers


def _describe_bert(settings: Settings) -> Blueprint:
    words, positions, width, layers = _read_sizes(settings)
    tie = settings.flag("tie_word_embeddings", default=True)
    return Blueprint(
        body={**embeddings(words, positions, width, types=settings.size("type_vocab_size", default=2)), **layers},
        optional=(pooler(width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=pooler(width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: bert_language_head(words, width, tie=tie, word_tensor=WORDS),
        },
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS),
    )


def roberta_heads(settings: Settings, *, words: Size, width: Size) -> Mapping[Head, HeadTensors]:
    """The heads of RoBERTa and of what was built on it."""
    tie = settings.flag("tie_word_embeddings", default=True)
    return {
        Head.SEQUENCE_CLASSIFICATION: two_layer_classifier(width),
        Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
        Head.QUESTION_ANSWERING: span_head(width),
        Head.MASKED_LANGUAGE_MODEL: roberta_language_head(words, width, tie=tie, word_tensor=WORDS),
    }


def _describe_roberta(settings: Settings) -> Blueprint:
    words, positions, width, layers = _read_sizes(settings)
    return Blueprint(
        body={**embeddings(words, positions, width, types=settings.size("type_vocab_size", default=2)), **layers},
        optional=(pooler(width),),
        heads=roberta_heads(settings, words=words, width=width),
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS, reserved=reserved_for_padding(settings)),
    )


def _describe_electra(settings: Settings) -> Blueprint:
    """ELECTRA may embed in fewer dimensions than its layers have, and then projects."""
    words, positions, width, layers = _read_sizes(settings)
    narrow = settings.size("embedding_size", default=128)
    return Blueprint(
        body={
            **embeddings(words, positions, narrow, types=settings.size("type_vocab_size", default=2)),
            **(linear("embeddings_project", width, narrow) if narrow.value != width.value else {}),
            **layers,
        },
        heads={
            Head.SEQUENCE_CLASSIFICATION: two_layer_classifier(width),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: HeadTensors(
                tensors={
                    **linear("generator_predictions.dense", narrow, width),
                    **norm("generator_predictions.LayerNorm", narrow),
                    **linear("generator_lm_head", words, narrow),
                },
                tied={"generator_lm_head.weight": WORDS} if settings.flag("tie_word_embeddings", default=True) else {},
            ),
        },
        width=width.value,
        words=WORDS,
        positions=learned(positions, tensor=POSITIONS),
    )


BERT = Family(
    name="bert",
    classes=name_classes("Bert", heads=ENCODER_HEADS),
    prefixes=("bert",),
    describe=_describe_bert,
    unused=("pooler.", "cls."),
    leftovers=("cls.seq_relationship.",),
)
ROBERTAS = tuple(
    Family(
        name=name,
        classes=name_classes(classes, heads=ENCODER_HEADS),
        prefixes=("roberta",),
        describe=_describe_roberta,
        unused=("pooler.", "lm_head."),
    )
    for name, classes in (("roberta", "Roberta"), ("xlm-roberta", "XLMRoberta"), ("camembert", "Camembert"))
)
ELECTRA = Family(
    name="electra",
    classes=name_classes("Electra", heads=ENCODER_HEADS),
    prefixes=("electra",),
    describe=_describe_electra,
    unused=("generator_", "discriminator_predictions."),
    leftovers=("discriminator_predictions.",),
)
