"""SageMaker's container contract: /ping says whether it is ready, /invocations answers whatever the model does."""

from typing import Any

import httpx
import numpy as np
import pytest
from rerankers import DOCUMENTS, QUERY, best_first, reranker
from runtime_under_test import SPACE, AppUnderTest, app_under_test

from embedding_model.ports import GateState
from embedding_model.resolved import Activation, Task
from embedding_runtime.backends.fake import FakeBackend


async def invoke(runtime: AppUnderTest, body: dict[str, Any]) -> httpx.Response:
    return await runtime.client.post("/invocations", json=body)


async def reference(runtime: AppUnderTest, text: str = "hello") -> np.ndarray:
    return np.float32((await runtime.embed(input=text)).json()["data"][0]["embedding"])


async def test_ping_is_200_once_the_model_answers_and_503_before() -> None:
    async with app_under_test() as runtime:
        ready = await runtime.client.get("/ping")
        runtime.lifecycle.gate = GateState.PENDING
        gated = await runtime.client.get("/ping")
    assert (ready.status_code, gated.status_code) == (200, 503)


@pytest.mark.parametrize(
    ("body", "read"),
    [
        pytest.param({"inputs": "hello"}, lambda answer: answer[0], id="TEI"),
        pytest.param({"inputs": ["hello"]}, lambda answer: answer[0], id="TEI, a list"),
        pytest.param({"input": "hello"}, lambda answer: answer["data"][0]["embedding"], id="OpenAI"),
        pytest.param({"input": "hello", "model": "words"}, lambda answer: answer["data"][0]["embedding"], id="named"),
        pytest.param(
            {"input": [{"text": "hello"}], "normalized": True}, lambda answer: answer["data"][0]["embedding"], id="Jina"
        ),
        pytest.param({"texts": ["hello"]}, lambda answer: answer["embeddings"][0], id="Cohere"),
        pytest.param(
            {"texts": ["hello"], "embedding_types": ["float"]},
            lambda answer: answer["embeddings"]["float"][0],
            id="Cohere, by type",
        ),
        pytest.param(
            {"texts": ["hello"], "output_dimension": 8},
            lambda answer: answer["embeddings"]["float"][0],
            id="Cohere, version 2",
        ),
    ],
)
async def test_the_body_says_whose_request_for_vectors_it_is(body: dict[str, Any], read: Any) -> None:
    async with app_under_test() as runtime:
        response = await invoke(runtime, body)
        expected = await reference(runtime)
    assert response.status_code == 200, response.text
    np.testing.assert_allclose(np.float32(read(response.json())), expected, atol=1e-6)
    assert response.headers["x-embedding-space"] == SPACE


@pytest.mark.parametrize(
    ("body", "read"),
    [
        pytest.param({"query": QUERY, "texts": DOCUMENTS}, lambda answer: answer, id="TEI"),
        pytest.param({"query": QUERY, "documents": DOCUMENTS}, lambda answer: answer["results"], id="Cohere"),
        pytest.param({"query": {"text": QUERY}, "documents": DOCUMENTS}, lambda answer: answer["results"], id="Jina"),
    ],
)
async def test_the_body_says_whose_request_for_a_ranking_it_is(body: dict[str, Any], read: Any) -> None:
    async with reranker() as runtime:
        response = await invoke(runtime, body)
    assert response.status_code == 200, response.text
    assert [entry["index"] for entry in read(response.json())] == best_first()


async def test_inputs_are_for_the_models_own_task() -> None:
    found = {"activation": Activation.SIGMOID, "labels": ("sport",)}
    serving = {"task": Task.CLASSIFICATION, "activation": Activation.SIGMOID, "inspection": found}
    async with app_under_test(FakeBackend(dimensions=1), **serving) as runtime:
        response = await invoke(runtime, {"inputs": "hello"})
    assert [entry["label"] for entry in response.json()] == ["sport"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"inputs": []}, 400),
        ({"input": []}, 400),
        ({"input": "x", "model": "another"}, 404),
        ({"input": 7, "task": "retrieval.query"}, 422),
        ({"texts": []}, 400),
        ({"query": "x"}, 424),
        ({"query": "x", "documents": ["y"]}, 400),
    ],
)
async def test_errors_are_of_the_dialect_of_the_body_and_carry_every_dialects_keys(
    body: dict[str, Any], status: int
) -> None:
    async with app_under_test() as runtime:
        response = await invoke(runtime, body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "error_type", "id", "message", "detail"}


async def test_only_a_post_is_taken() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.get("/invocations")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
