"""Cohere's rerank routes: what its SDKs send, and what they need back."""

from typing import Any

import httpx
import numpy as np
import pytest
from rerankers import DOCUMENTS, QUERY, TEMPLATE, best_first, logits_of, reranker, scores_of
from runtime_under_test import SPACE, AppUnderTest

from embedding_model.resolved import Activation

PATHS = ["/v1/rerank", "/v2/rerank", "/cohere/v1/rerank", "/cohere/v2/rerank"]


async def rank(runtime: AppUnderTest, path: str = "/v2/rerank", **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    document = {"model": "words", "query": QUERY, "documents": DOCUMENTS, **body}
    return await runtime.client.post(path, json=document, headers=headers)


@pytest.mark.parametrize("path", PATHS)
async def test_documents_come_back_as_numbers_and_scores_best_first(path: str) -> None:
    async with reranker() as runtime:
        response = await rank(runtime, path)
    answer = response.json()
    assert [set(entry) for entry in answer["results"]] == [{"index", "relevance_score"}] * len(DOCUMENTS)
    assert [entry["index"] for entry in answer["results"]] == best_first()
    scores = [entry["relevance_score"] for entry in answer["results"]]
    np.testing.assert_allclose(scores, np.sort(scores_of())[::-1], rtol=1e-5)
    assert answer["meta"]["api_version"] == {"version": path[path.index("/v") + 2]}
    assert answer["meta"]["billed_units"] == {"search_units": 1}
    extra = set() if path.startswith("/cohere") else {"model", "usage"}
    assert set(answer) == {"id", "results", "meta"} | extra


@pytest.mark.parametrize("activation", list(Activation))
async def test_scores_lie_between_0_and_1_whatever_the_models_activation(activation: Activation) -> None:
    async with reranker(activation=activation) as runtime:
        response = await rank(runtime)
    scores = [entry["relevance_score"] for entry in response.json()["results"]]
    np.testing.assert_allclose(scores, np.sort(scores_of())[::-1], rtol=1e-5)
    is_own = activation in (Activation.SIGMOID, Activation.SOFTMAX)
    assert response.headers["x-embedding-space"] == SPACE + ("" if is_own else ";out=sigmoid")


async def test_raw_scores_are_logits_of_another_space() -> None:
    async with reranker() as runtime:
        response = await rank(runtime, raw_scores="true")
        pinned = await rank(runtime, raw_scores=True, headers={"x-embedding-space": SPACE})
    scores = [entry["relevance_score"] for entry in response.json()["results"]]
    np.testing.assert_allclose(scores, np.sort(logits_of())[::-1], rtol=1e-5)
    assert response.headers["x-embedding-space"] == f"{SPACE};out=raw"
    assert pinned.status_code == 412


@pytest.mark.parametrize("top_n", [1, 3, 4, 100, 2.0])
async def test_top_n_keeps_the_best(top_n: float) -> None:
    async with reranker() as runtime:
        answer = (await rank(runtime, top_n=top_n)).json()
    assert [entry["index"] for entry in answer["results"]] == best_first()[: int(top_n)]


async def test_documents_are_returned_as_objects_when_asked_for() -> None:
    documents = ["the weather", {"text": "kubernetes", "id": 7}]
    async with reranker() as runtime:
        answer = (await rank(runtime, "/v1/rerank", documents=documents, return_documents=True)).json()
    assert {entry["index"]: entry["document"] for entry in answer["results"]} == {
        0: {"text": "the weather"},
        1: {"text": "kubernetes", "id": 7},
    }


async def test_the_fields_to_rank_are_read_in_their_order() -> None:
    documents = [{"title": "a pod", "body": "on another node", "text": "unread"}, {"body": "kubernetes"}]
    async with reranker() as runtime:
        answer = (await rank(runtime, "/v1/rerank", documents=documents, rank_fields=["title", "body"])).json()
    found = {entry["index"]: entry["relevance_score"] for entry in answer["results"]}
    expected = scores_of(["a pod\non another node", "kubernetes"])
    np.testing.assert_allclose([found[0], found[1]], expected, rtol=1e-5)


async def test_a_search_unit_is_a_hundred_documents() -> None:
    async with reranker() as runtime:
        answer = (await rank(runtime, documents=["x"] * 101)).json()
    assert answer["meta"]["billed_units"] == {"search_units": 2}


async def test_version_1_needs_no_model_and_an_instruction_goes_into_the_template() -> None:
    async with reranker(scoring=TEMPLATE) as runtime:
        body = {"query": QUERY, "documents": DOCUMENTS}
        plain = await runtime.client.post("/cohere/v1/rerank", json=body)
        told = await runtime.client.post("/cohere/v1/rerank", json={**body, "instruction": "Find the capital."})
    assert plain.status_code == told.status_code == 200
    assert plain.headers["x-embedding-space"] == SPACE
    assert told.headers["x-embedding-space"].startswith(f"{SPACE};prompt=")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"documents": []}, "documents"),
        ({"documents": None}, "documents"),
        ({"documents": "secret"}, "documents"),
        ({"documents": [1]}, "documents"),
        ({"documents": [{"title": "secret"}]}, "entry 0 is an object without a text under text"),
        ({"documents": ["x", {"text": ["secret"]}]}, "entry 1 is an object without a text"),
        ({"documents": [{"text": 7}]}, "entry 0 is an object without a text"),
        ({"query": None}, "query"),
        ({"query": {"text": "secret"}}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": "many"}, "top_n"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"priority": -1}, "priority"),
        ({"return_documents": "secret"}, "return_documents"),
        ({"instruction": "find pods"}, "instruction"),
        ({"documents": ["x"] * 3000}, "2048"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: dict[str, Any], says: str) -> None:
    async with reranker() as runtime:
        response = await rank(runtime, "/cohere/v2/rerank", **body)
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"id", "message"}
    assert says in response.json()["message"]
    assert "secret" not in response.text


async def test_version_1_checks_the_fields_that_it_has_alone() -> None:
    async with reranker() as runtime:
        chunks = await rank(runtime, "/v1/rerank", max_chunks_per_doc=0)
        fields = await rank(runtime, "/v1/rerank", rank_fields=[])
        missing = await rank(runtime, "/v1/rerank", documents=[{"text": "x"}], rank_fields=["secret"])
    assert (chunks.status_code, fields.status_code, missing.status_code) == (400, 400, 400)
    assert "the fields to rank" in missing.json()["message"]
    assert "secret" not in missing.text
