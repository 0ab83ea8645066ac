"""Folders of tiny BERTs with a head, in memory: cross-encoders, classifiers, sparse models."""

from collections.abc import Mapping, Sequence
from typing import Any

from tiny_models import encoder_config, json_file, modules, safetensors_file, tensor_shapes, tokenizer_settings

_WIDTH, _VOCABULARY = 8, 17  # SIZES of tiny_models

POOLER = {"bert.pooler.dense.weight": (_WIDTH, _WIDTH), "bert.pooler.dense.bias": (_WIDTH,)}
MASKED_LANGUAGE_HEAD: Mapping[str, Sequence[int]] = {
    "cls.predictions.bias": (_VOCABULARY,),
    "cls.predictions.transform.dense.weight": (_WIDTH, _WIDTH),
    "cls.predictions.transform.dense.bias": (_WIDTH,),
    "cls.predictions.transform.LayerNorm.weight": (_WIDTH,),
    "cls.predictions.transform.LayerNorm.bias": (_WIDTH,),
}


def classification_head(count: int) -> dict[str, Sequence[int]]:
    """The tensors of BertForSequenceClassification beside its body."""
    return {**POOLER, "classifier.weight": (count, _WIDTH), "classifier.bias": (count,)}


def body(head: Mapping[str, Sequence[int]]) -> bytes:
    """model.safetensors of a tiny BERT with a head."""
    return safetensors_file({**tensor_shapes("bert", prefix="bert."), **head})


def tiny_classifier(count: int, *, names: Sequence[str] = (), **config: Any) -> dict[str, bytes]:
    """BertForSequenceClassification as transformers saves it, with `count` outputs; `names` are its labels."""
    named = dict(enumerate(names or [f"LABEL_{index}" for index in range(count)]))
    labels = {"id2label": {str(index): name for index, name in named.items()}}
    return {
        "config.json": json_file(
            encoder_config("bert", **{"architectures": ["BertForSequenceClassification"], **labels, **config})
        ),
        "model.safetensors": body(classification_head(count)),
        "tokenizer.json": json_file(tokenizer_settings("bert")),
        "tokenizer_config.json": json_file({"model_max_length": 32}),
    }


def tiny_sparse(**pooling: Any) -> dict[str, bytes]:
    """A SPLADE model as sentence-transformers saves it; `pooling` are keys of SpladePooling's config.json."""
    written = modules("MLMTransformer", "SpladePooling", library="sentence_transformers.sparse_encoder.models")
    return {
        "config.json": json_file(encoder_config("bert", architectures=["BertForMaskedLM"])),
        "model.safetensors": body(MASKED_LANGUAGE_HEAD),
        "tokenizer.json": json_file(tokenizer_settings("bert")),
        "modules.json": json_file(written),
        "config_sentence_transformers.json": json_file({"model_type": "SparseEncoder"}),
        "sentence_bert_config.json": json_file({"max_seq_length": 16, "do_lower_case": False}),
        "1_SpladePooling/config.json": json_file({"pooling_strategy": "max", "activation_function": "relu", **pooling}),
    }


def card(**front: Any) -> dict[str, bytes]:
    """README.md with a front matter; lists are written as YAML blocks."""
    lines = []
    for key, value in front.items():
        lines += [f"{key}:", *(f"- {item}" for item in value)] if isinstance(value, list) else [f"{key}: {value}"]
    return {"README.md": "\n".join(["---", *lines, "---", "# Model", ""]).encode()}
