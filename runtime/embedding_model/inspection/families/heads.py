"""The heads that may stand behind a body, and their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from embedding_model.inspection.families.shapes import LABELS, Size, Tensors, linear, norm


class Head(StrEnum):
    """What may stand behind the body of a transformer, by the suffix of transformers' classes."""

    SEQUENCE_CLASSIFICATION = "ForSequenceClassification"
    TOKEN_CLASSIFICATION = "ForTokenClassification"  # noqa: S105 - a class, not a secret
    QUESTION_ANSWERING = "ForQuestionAnswering"
    MASKED_LANGUAGE_MODEL = "ForMaskedLM"
    CAUSAL_LANGUAGE_MODEL = "ForCausalLM"


# What scores or labels something; the others are language models.
CLASSIFICATION = (Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION, Head.QUESTION_ANSWERING)


@dataclass(frozen=True, kw_only=True)
class HeadTensors:
    """The tensors of one head. `tied` maps a tensor to its twin: it may be absent where the twin is there."""

    tensors: Tensors
    tied: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None

    @property
    def output(self) -> str:
        """The name of its last matrix: labels or words as rows."""
        return self.labels or next(reversed([name for name in self.tensors if name.endswith(".weight")]))


def classifier(name: str, width: Size, *, before: Tensors | None = None, bias: bool = True) -> HeadTensors:
    """One linear layer to the labels, behind the tensors in `before`."""
    return HeadTensors(
        tensors={**(before or {}), **linear(name, LABELS, width, bias=bias)},
        labels=f"{name}.weight",
    )


def two_layer_classifier(width: Size) -> HeadTensors:
    """RoBERTa's head: classifier.dense, then classifier.out_proj."""
    return classifier("classifier.out_proj", width, before=linear("classifier.dense", width, width))


def span_head(width: Size) -> HeadTensors:
    """Start and end of an answer: two logits per token."""
    return HeadTensors(tensors=linear("qa_outputs", Size(2), width))


def bert_language_head(
    words: Size, width: Size, *, narrow: Size | None = None, tie: bool, word_tensor: str, norm_name: str = "LayerNorm"
) -> HeadTensors:
    """cls.predictions: a transform, then the words. The bias is stored once or twice, under two names."""
    inner = narrow or width
    transform = "cls.predictions.transform"
    return HeadTensors(
        tensors={
            **linear(f"{transform}.dense", inner, width),
            **norm(f"{transform}.{norm_name}", inner),
            "cls.predictions.bias": (words,),
            **linear("cls.predictions.decoder", words, inner),
        },
        tied=_twins("cls.predictions", tie=tie, word_tensor=word_tensor),
    )


def roberta_language_head(words: Size, width: Size, *, tie: bool, word_tensor: str) -> HeadTensors:
    """lm_head: dense, layer_norm, then the words."""
    return HeadTensors(
        tensors={
            **linear("lm_head.dense", width, width),
            **norm("lm_head.layer_norm", width),
            "lm_head.bias": (words,),
            **linear("lm_head.decoder", words, width),
        },
        tied=_twins("lm_head", tie=tie, word_tensor=word_tensor),
    )


def _twins(name: str, *, tie: bool, word_tensor: str) -> dict[str, str]:
    bias = {f"{name}.bias": f"{name}.decoder.bias", f"{name}.decoder.bias": f"{name}.bias"}
    return {**bias, **({f"{name}.decoder.weight": word_tensor} if tie else {})}


def plain_language_head(words: Size, width: Size, *, tie: bool, word_tensor: str, bias: bool = False) -> HeadTensors:
    """One matrix from token vectors to words, often the word embeddings themselves."""
    return HeadTensors(
        tensors=linear("lm_head", words, width, bias=bias),
        tied={"lm_head.weight": word_tensor} if tie else {},
    )
