"""Jina's rerank route: what its clients send, and what they need back."""

from typing import Any

import httpx
import numpy as np
import pytest
from rerankers import DOCUMENTS, QUERY, best_first, reranker, scores_of
from runtime_under_test import SPACE, AppUnderTest

from embedding_model.resolved import Activation


async def rank(runtime: AppUnderTest, **body: Any) -> httpx.Response:
    document = {"model": "words", "query": QUERY, "documents": DOCUMENTS, **body}
    return await runtime.client.post("/jina/v1/rerank", json=document)


async def test_documents_come_back_whole_best_first_with_usage() -> None:
    async with reranker() as runtime:
        response = await rank(runtime)
    answer = response.json()
    assert set(answer) == {"model", "object", "results", "usage"}
    assert [entry["index"] for entry in answer["results"]] == best_first()
    assert [entry["document"]["text"] for entry in answer["results"]] == [DOCUMENTS[index] for index in best_first()]
    scores = [entry["relevance_score"] for entry in answer["results"]]
    np.testing.assert_allclose(scores, np.sort(scores_of())[::-1], rtol=1e-5)
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 0
    assert response.headers["x-embedding-space"] == SPACE


async def test_query_and_documents_may_be_objects() -> None:
    async with reranker() as runtime:
        plain = (await rank(runtime, top_n=2)).json()
        objects = (await rank(runtime, query={"text": QUERY}, documents=[{"text": text} for text in DOCUMENTS])).json()
    assert objects["results"][:2] == plain["results"]


@pytest.mark.parametrize("told", [False, "false"])
async def test_documents_are_left_out_when_not_wanted(told: Any) -> None:
    async with reranker() as runtime:
        answer = (await rank(runtime, return_documents=told)).json()
    assert [set(entry) for entry in answer["results"]] == [{"index", "relevance_score"}] * len(DOCUMENTS)


async def test_scores_lie_between_0_and_1_for_a_model_that_answers_logits() -> None:
    async with reranker(activation=Activation.IDENTITY) as runtime:
        response = await rank(runtime)
    scores = [entry["relevance_score"] for entry in response.json()["results"]]
    np.testing.assert_allclose(scores, np.sort(scores_of())[::-1], rtol=1e-5)
    assert response.headers["x-embedding-space"] == f"{SPACE};out=sigmoid"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"documents": []}, "documents"),
        ({"documents": [{"image": "secret"}]}, "entry 0"),
        ({"query": None}, "query"),
        ({"query": {"image": "secret"}}, "query"),
        ({"query": ["secret"]}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": "secret"}, "return_documents"),
        ({"model": None}, "model"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: dict[str, Any], says: str) -> None:
    async with reranker() as runtime:
        response = await rank(runtime, **body)
    assert response.status_code == 422, response.text
    assert set(response.json()) == {"detail"}
    assert says in response.json()["detail"]
    assert "secret" not in response.text
