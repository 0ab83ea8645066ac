"""x-embedding-space names every answer of another kind than the model is served for, and a pin holds to it."""

from typing import Any

import pytest
from runtime_under_test import SPACE, app_under_test

from embedding_model.resolved import (
    Activation,
    Pooling,
    ScoreRule,
    Scoring,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
)
from embedding_runtime.backends.fake import FakeBackend

EMBEDDER: dict[str, Any] = {
    "inspection": {
        "token_heads": (TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1),)
    }
}
SPLADE: dict[str, Any] = {
    "task": Task.SPARSE,
    "inspection": {"sparse": SparseHead(pooling=Pooling.MAX, activation="relu")},
}
TEMPLATE = Scoring(rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token_id=1)
HEAD = Scoring(rule=ScoreRule.CLASSIFICATION_HEAD)


def reranker(scoring: Scoring = HEAD, *, activation: Activation = Activation.SIGMOID, **serving: Any) -> dict[str, Any]:
    found = {"scoring": scoring, "activation": activation}
    return {"task": Task.RERANKING, "activation": activation, "inspection": found, **serving}


def classifier(activation: Activation = Activation.SOFTMAX) -> dict[str, Any]:
    return {"task": Task.CLASSIFICATION, "activation": activation, "inspection": {"labels": ("a",)}}


TEXTS = {"inputs": "hello"}
PAIRS = {"query": "hello", "texts": ["a", "b"]}


@pytest.mark.parametrize(
    ("model", "path", "body", "suffix"),
    [
        pytest.param(EMBEDDER, "/embed", TEXTS, "", id="vectors of texts"),
        pytest.param(EMBEDDER, "/embed_all", TEXTS, ";out=tokens", id="vectors of tokens"),
        pytest.param(EMBEDDER, "/embed_sparse", TEXTS, ";out=sparse", id="sparse vectors of an embedder"),
        pytest.param(SPLADE, "/embed_sparse", TEXTS, "", id="sparse vectors of a sparse model"),
        pytest.param(
            EMBEDDER,
            "/embed_all",
            {**TEXTS, "prompt": "other: "},
            ";prompt=bca3db9c2afb;out=tokens",
            id="a prompt of the request's own",
        ),
        pytest.param(EMBEDDER, "/embed_all", {**TEXTS, "prompt_name": "query"}, ";out=tokens", id="the model's prompt"),
        pytest.param(EMBEDDER, "/embed", {**TEXTS, "truncation_direction": "Left"}, "", id="cut from the other side"),
        pytest.param(reranker(), "/rerank", PAIRS, "", id="scores"),
        pytest.param(reranker(), "/rerank", {**PAIRS, "raw_scores": True}, ";out=raw", id="logits"),
        pytest.param(
            reranker(activation=Activation.IDENTITY),
            "/rerank",
            {**PAIRS, "raw_scores": True},
            "",
            id="logits as served",
        ),
        pytest.param(
            reranker(activation=Activation.IDENTITY),
            "/rerank",
            PAIRS,
            ";out=sigmoid",
            id="scores where logits are served",
        ),
        pytest.param(
            reranker(TEMPLATE, instruction="find pods"),
            "/rerank",
            {**PAIRS, "instruction": "find pods"},
            "",
            id="the served instruction",
        ),
        pytest.param(
            reranker(TEMPLATE, instruction="find pods"),
            "/rerank",
            {**PAIRS, "instruction": "other: "},
            ";prompt=bca3db9c2afb",
            id="another instruction",
        ),
        pytest.param(
            reranker(TEMPLATE, instruction="find pods"),
            "/rerank",
            {**PAIRS, "instruction": ""},
            ";prompt=e3b0c44298fc",
            id="no instruction where one is served",
        ),
        pytest.param(
            reranker(TEMPLATE, instruction="find pods"),
            "/v1/rerank",
            {"query": "a", "documents": ["b"], "instruction": ""},
            ";prompt=e3b0c44298fc",
            id="the same in another dialect",
        ),
        pytest.param(classifier(), "/predict", TEXTS, "", id="probabilities"),
        pytest.param(classifier(), "/predict", {**TEXTS, "raw_scores": True}, ";out=raw", id="logits of labels"),
        pytest.param(
            classifier(Activation.IDENTITY),
            "/predict",
            {**TEXTS, "raw_scores": True},
            "",
            id="labels' logits as served",
        ),
    ],
)
async def test_an_answer_of_another_kind_has_a_suffix_and_a_pin_holds_to_it(
    model: dict[str, Any], path: str, body: dict[str, Any], suffix: str
) -> None:
    width = 1 if "task" in model else 8
    async with app_under_test(FakeBackend(dimensions=width), **model) as runtime:
        answer = await runtime.client.post(path, json=body)
        same = await runtime.client.post(path, json=body, headers={"x-embedding-space": SPACE + suffix})
        other = await runtime.client.post(path, json=body, headers={"x-embedding-space": f"{SPACE};out=other"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-embedding-space"] == SPACE + suffix
    assert (same.status_code, other.status_code) == (200, 412)
