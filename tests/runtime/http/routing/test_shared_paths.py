"""Paths that several dialects have: whose request a body is, and what both readers find in the answer."""

from typing import Any

import numpy as np
import pytest
from rerankers import DOCUMENTS, QUERY, best_first, reranker
from runtime_under_test import app_under_test

from embedding_runtime.http.crossings import choose_embeddings, choose_pairs, choose_ranking
from embedding_runtime.http.routing import CROSSINGS, DIALECTS, Router

EVERY_KEY = {"error", "error_type", "id", "message", "detail"}


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ({"input": "x", "model": "m"}, 0),
        ({"input": "x", "model": "m", "encoding_format": "base64", "dimensions": 8, "user": "u"}, 0),
        ({"input": "x", "task": "retrieval.query"}, 1),
        ({"input": "x", "late_chunking": False}, 1),
        ({"input": "x", "normalized": True}, 1),
        ({"input": "x", "embedding_type": "float"}, 1),
        ({"input": "x", "encoding_type": "float"}, 1),
    ],
)
def test_a_request_for_vectors_is_openais_unless_it_has_a_field_of_jinas(body: dict[str, Any], number: int) -> None:
    assert choose_embeddings(body) == number


@pytest.mark.parametrize(
    ("body", "pairs", "ranking"),
    [
        ({"query": "q", "texts": ["x"]}, 0, 0),
        ({"query": "q", "texts": ["x"], "documents": ["x"]}, 0, 0),
        ({"query": "q"}, 0, 0),
        ({"query": "q", "documents": ["x"]}, 1, 0),
        ({"query": {"text": "q"}, "documents": ["x"]}, 2, 1),
        ({"query": ["q"], "documents": ["x"]}, 1, 0),
    ],
)
def test_a_request_for_a_ranking_is_told_by_texts_documents_and_query(
    body: dict[str, Any], pairs: int, ranking: int
) -> None:
    assert (choose_pairs(body), choose_ranking(body)) == (pairs, ranking)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
async def test_llamaindexs_jina_request_is_answered_as_jinas(path: str) -> None:
    body = {"model": "words", "input": ["hello"], "encoding_type": "ubinary"}
    async with app_under_test() as runtime:
        response = await runtime.client.post(path, json=body)
        strict = await runtime.client.post("/openai/v1/embeddings", json=body)
    assert [len(entry["embedding"]) for entry in response.json()["data"]] == [1]
    assert [len(entry["embedding"]) for entry in strict.json()["data"]] == [8]


# As LiteLLM, Dify, RAGFlow and infinity-client send it, each with a field that nobody here knows.
@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/rerank/"])
@pytest.mark.parametrize(
    "more",
    [
        {"return_documents": True, "max_chunks_per_doc": None},
        {"return_documents": True, "score_threshold": 0.5, "top_n": 4},
        {"return_documents": "true", "return_len": "true"},
        {"return_documents": True, "raw_scores": False},
    ],
)
async def test_a_ranking_of_documents_carries_what_every_reader_needs(path: str, more: dict[str, Any]) -> None:
    async with reranker() as runtime:
        response = await runtime.client.post(
            path, json={"model": "words", "query": QUERY, "documents": DOCUMENTS, **more}
        )
    answer = response.json()
    assert response.status_code == 200, response.text
    assert [entry["index"] for entry in answer["results"]] == best_first()
    assert [entry["document"] for entry in answer["results"]] == [{"text": DOCUMENTS[index]} for index in best_first()]
    assert all(0 <= entry["relevance_score"] <= 1 for entry in answer["results"])
    assert answer["model"] == "words"
    assert answer["meta"]["billed_units"]["search_units"] == 1
    assert answer["usage"]["total_tokens"] > 0


async def test_jinas_ranking_without_the_prefix_has_coheres_meta_too() -> None:
    body = {"model": "words", "query": {"text": QUERY}, "documents": DOCUMENTS}
    async with reranker() as runtime:
        bare = (await runtime.client.post("/v1/rerank", json=body)).json()
        strict = (await runtime.client.post("/jina/v1/rerank", json=body)).json()
    assert set(bare) - set(strict) == {"meta"}
    assert bare["results"] == strict["results"]


async def test_texts_are_answered_with_teis_bare_list() -> None:
    async with reranker() as runtime:
        response = await runtime.client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
    assert [entry["index"] for entry in response.json()] == best_first()


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v2/embed", "/v1/rerank", "/rerank", "/embed", "/nowhere"])
@pytest.mark.parametrize("body", [b"{}", b"[", b'{"task": 7}', b'{"documents": 7}'])
async def test_errors_of_a_bare_path_carry_every_dialects_keys(path: str, body: bytes) -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post(path, content=body)
    assert 400 <= response.status_code < 500
    assert set(response.json()) == EVERY_KEY


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/openai/v1/embeddings", {"error"}),
        ("/cohere/v2/embed", {"id", "message"}),
        ("/jina/v1/embeddings", {"detail"}),
        ("/tei/embed", {"error", "error_type"}),
    ],
)
async def test_errors_under_a_prefix_are_the_dialects_alone(path: str, keys: set[str]) -> None:
    nowhere = f"/{path.split('/')[1]}/nowhere"
    async with app_under_test() as runtime:
        response = await runtime.client.post(path, json={"task": "retrieval.query"})
        missed = await runtime.client.post(nowhere, json={})
    assert 400 <= response.status_code < 500
    assert set(response.json()) == keys
    assert missed.status_code == 404
    assert set(missed.json()) == keys
    assert "GET /docs" in missed.text


def test_every_path_that_dialects_share_says_whose_body_is_whose() -> None:
    owners: dict[str, int] = {}
    for dialect in DIALECTS:
        for path in dialect.routes:
            owners[path] = owners.get(path, 0) + 1
    shared = {path for path, count in owners.items() if count > 1}
    assert shared
    assert shared <= set(CROSSINGS)
    with pytest.raises(ValueError, match="several dialects have"):
        Router(crossings={})


async def test_a_text_has_the_same_vector_in_every_dialect() -> None:
    async with app_under_test() as runtime:
        answers = [
            (await runtime.client.post(path, json=body)).json()
            for path, body in [
                ("/openai/v1/embeddings", {"model": "words", "input": "hello"}),
                ("/jina/v1/embeddings", {"model": "words", "input": "hello"}),
                ("/cohere/v1/embed", {"texts": ["hello"]}),
                ("/cohere/v2/embed", {"model": "words", "texts": ["hello"]}),
                ("/tei/embed", {"inputs": "hello"}),
            ]
        ]
    openai, jina, first, second, tei = answers
    expected = np.float32(openai["data"][0]["embedding"])
    for found in (jina["data"][0]["embedding"], first["embeddings"][0], second["embeddings"]["float"][0], tei[0]):
        assert np.float32(found).tolist() == expected.tolist()
