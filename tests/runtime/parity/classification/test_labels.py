"""Classifiers against transformers: every family, single texts and pairs, every activation."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
from loaded_model import Loaded
from parity import assert_outputs_equal
from seeded_models import RECIPES
from seeded_models.tokenizers import QWEN

from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Activation, Declared, Task
from embedding_model.served import SERVED
from embedding_runtime.core.classification import activate, read_logits
from embedding_runtime.core.inputs import Input, Pair, Text

# transformers has no class for these: test_jina_bert holds them to a formula.
NOT_IN_TRANSFORMERS = ("jina_bert", "jina_bert_code")
FAMILIES = sorted(
    family for family, tasks in SERVED.items() if Task.CLASSIFICATION in tasks and family not in NOT_IN_TRANSFORMERS
)
# As Qwen's own tokenizers, which put nothing behind a text. (With an end token that is also the one for padding,
# transformers' class reads the token before it.)
WITHOUT_END = replace(QWEN, end=None)
LABELS = ("contradiction", "entailment", "neutral")
INPUTS: Sequence[Input] = (
    Text("The weather is lovely today."),
    Pair("a man is eating food", "someone is having a meal"),
    Text("x"),
    Pair("what is the capital of france", "paris is the capital of france " * 3),
    Text("the quick brown fox jumps over the lazy dog near the river"),
    Pair("query", "document"),
    Text("kubernetes restarts the pod on another node " * 20),
)


def build(folder: Path, *, family: str = "bert", labels: Sequence[str] = LABELS, **config: Any) -> Path:
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    return seeded_models.build(
        folder, family=family, head=Head.SEQUENCE_CLASSIFICATION, labels=len(labels), **names, **config
    )


def compute_logits(folder: Path, inputs: Sequence[Input]) -> np.ndarray:
    """transformers' own answer: float32 [inputs, labels], each input alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        length = tokenizer.model_max_length
        rows = []
        for item in inputs:
            texts = (item.query, item.document) if isinstance(item, Pair) else (item.text,)
            encoded = tokenizer(*texts, truncation=True, max_length=length, return_tensors="pt")
            rows.append(model(**encoded).logits[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_the_reference(family: str, tmp_path: Path) -> None:
    tokenizer = {"tokenizer": WITHOUT_END} if RECIPES[family].tokenizer == QWEN else {}
    folder = build(tmp_path, family=family, **tokenizer)
    expected = compute_logits(folder, INPUTS)

    assert_outputs_equal(Loaded(folder), INPUTS, expected=expected, tolerance=2e-4)

    assert np.abs(expected - expected[0]).max() > 0.1, "inputs must differ"


@pytest.mark.parametrize(
    ("labels", "config", "activation"),
    [
        (LABELS, {}, Activation.SOFTMAX),
        (LABELS, {"problem_type": "multi_label_classification"}, Activation.SIGMOID),
        (("toxic",), {"problem_type": "regression"}, Activation.IDENTITY),
    ],
    ids=["one of the labels", "any of the labels", "regression"],
)
def test_scores_and_labels_equal_those_of_transformers_pipeline(
    labels: Sequence[str], config: dict[str, str], activation: Activation, tmp_path: Path
) -> None:
    from transformers import pipeline

    folder = build(tmp_path, labels=labels, **config)
    texts = [item.text for item in INPUTS if isinstance(item, Text)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
        expected = [{entry["label"]: entry["score"] for entry in row} for row in classifier(texts, truncation=True)]

    model = Loaded(folder, declared=Declared(task=Task.CLASSIFICATION))
    scores = activate(read_logits(model.compute([Text(text) for text in texts])), activation=activation)

    assert model.serving.activation is activation
    assert model.resolved.inspection.labels == tuple(labels)
    for row, wanted in zip(scores, expected, strict=True):
        assert dict(zip(labels, row.tolist(), strict=True)) == pytest.approx(wanted, abs=1e-4)


def test_the_second_text_is_told_apart_from_the_first(tmp_path: Path) -> None:
    model = Loaded(build(tmp_path))
    [tokens] = model.tokenizer.encode([Pair("query", "document")])
    assert tokens.type_ids is not None
    told = replace(tokens, type_ids=[0] * len(tokens.ids))

    [apart], [together] = model.backend.compute([tokens]), model.backend.compute([told])

    assert apart.dense is not None
    assert together.dense is not None
    assert np.abs(apart.dense - together.dense).max() > 0.01
