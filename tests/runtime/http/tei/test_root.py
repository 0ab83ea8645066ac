"""TEI's /: the model's own task, as clients of the Hugging Face API ask for it."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import SPACE, app_under_test

from embedding_model.resolved import Activation, Pooling, ScoreRule, Scoring, SparseHead, Task
from embedding_runtime.backends.fake import FakeBackend

LABELS = {"labels": ("NEGATIVE", "NEUTRAL", "POSITIVE")}
HEAD = {"scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD), "activation": Activation.SIGMOID}
SPLADE = {"sparse": SparseHead(pooling=Pooling.MAX, activation="relu")}

EMBEDDER: dict[str, Any] = {}
CLASSIFIER = {"task": Task.CLASSIFICATION, "activation": Activation.SOFTMAX, "inspection": LABELS}
RERANKER = {"task": Task.RERANKING, "activation": Activation.SIGMOID, "inspection": HEAD}
SPARSE = {"task": Task.SPARSE, "inspection": SPLADE}


@pytest.mark.parametrize(
    ("model", "dimensions", "path", "body"),
    [
        pytest.param(EMBEDDER, 8, "/embed", {"inputs": "hello", "normalize": False}, id="embedder"),
        pytest.param(EMBEDDER, 8, "/embed", {"inputs": ["hello", "world"], "dimensions": 4}, id="several texts"),
        pytest.param(
            EMBEDDER,
            8,
            "/similarity",
            {"inputs": {"source_sentence": "hello", "sentences": ["a", "b"]}},
            id="similarity",
        ),
        pytest.param(CLASSIFIER, 3, "/predict", {"inputs": [["hello"], ["a", "b"]]}, id="classifier"),
        pytest.param(RERANKER, 1, "/rerank", {"query": "hello", "texts": ["a", "b"]}, id="reranker"),
        pytest.param(SPARSE, 8, "/embed_sparse", {"inputs": "hello"}, id="sparse"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/tei"])
async def test_a_post_is_answered_as_on_the_path_of_the_models_task(
    model: dict[str, Any], dimensions: int, path: str, body: dict[str, Any], prefix: str
) -> None:
    async with app_under_test(FakeBackend(dimensions=dimensions), **model) as runtime:
        root = await runtime.client.post(f"{prefix}/", json=body)
        named = await runtime.client.post(f"{prefix}{path}", json=body)
    assert root.status_code == named.status_code == 200
    assert root.json() == named.json()
    assert root.headers["x-embedding-space"] == named.headers["x-embedding-space"]


async def test_a_get_says_whether_requests_are_answered() -> None:
    async with app_under_test() as runtime:
        answers = [await runtime.client.get(path) for path in ("/", "/tei", "/tei/", "/health", "/tei/health")]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"status": "ok"})] * 5


async def test_a_body_of_another_task_is_told_what_is_missing() -> None:
    async with app_under_test(FakeBackend(dimensions=1), **RERANKER) as runtime:
        reranker = await runtime.client.post("/", json={"inputs": "hello"})
    async with app_under_test() as runtime:
        embedder = await runtime.client.post("/", json={"query": "hello", "texts": ["a"]})
        similarity = await runtime.client.post("/", json={"inputs": {"sentences": ["secret"]}})
    assert [answer.status_code for answer in (reranker, embedder, similarity)] == [422] * 3
    assert reranker.json()["error"] == "query: Field required."
    assert embedder.json()["error"] == "inputs: Field required."
    assert similarity.json()["error"] == "inputs.source_sentence: Field required."


@pytest.mark.parametrize(
    ("parameters", "kind", "number"),
    [
        ({}, "", 3),
        ({"top_k": 2}, "", 2),
        ({"function_to_apply": "softmax"}, "", 3),
        ({"function_to_apply": "sigmoid"}, ";out=sigmoid", 3),
        ({"function_to_apply": "none", "top_k": 1}, ";out=raw", 1),
    ],
)
async def test_text_classification_of_the_hugging_face_api_answers_a_list_for_one_text_too(
    parameters: dict[str, Any], kind: str, number: int
) -> None:
    async with app_under_test(FakeBackend(dimensions=3), **CLASSIFIER) as runtime:
        answer = await runtime.client.post("/", json={"inputs": "hello", "parameters": parameters})
        plain = (await runtime.client.post("/predict", json={"inputs": "hello", "raw_scores": True})).json()
    [found] = answer.json()
    logits = np.array([entry["score"] for entry in plain])
    expected = {
        "none": logits,
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "softmax": np.exp(logits) / np.exp(logits).sum(),
    }[parameters.get("function_to_apply", "softmax")]
    assert [entry["label"] for entry in found] == [entry["label"] for entry in plain][:number]
    np.testing.assert_allclose([entry["score"] for entry in found], expected[:number], rtol=1e-5)
    assert answer.headers["x-embedding-space"] == SPACE + kind


@pytest.mark.parametrize("parameters", [{"top_k": 0}, {"function_to_apply": "secret"}, [], "secret"])
async def test_wrong_parameters_are_refused_by_their_name(parameters: Any) -> None:
    async with app_under_test(FakeBackend(dimensions=3), **CLASSIFIER) as runtime:
        refused = await runtime.client.post("/", json={"inputs": "hello", "parameters": parameters})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert refused.json()["error"].startswith("parameters: ")
    assert "secret" not in refused.text
