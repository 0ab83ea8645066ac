"""Whatever a body of the right types says: never a server's error, and the same vectors and scores in every dialect."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rerankers import reranker, scores_of
from runtime_under_test import app_under_test

from embedding_runtime.backends.fake import FakeBackend

Ask = Callable[[str, dict[str, Any]], httpx.Response]

# The application is made once for all examples: none of them changes it.
OFTEN = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WORDS = st.lists(st.sampled_from(["hello", "world", "pod", "ß", "日本"]), min_size=1, max_size=4).map(" ".join)
FLAG = st.sampled_from([True, False, "true", "false", None])
COUNT = st.integers(min_value=0, max_value=20) | st.just(2**31) | st.none()
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
MODEL = st.sampled_from(["words", "words-query", "unknown"])


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


COHERE_EMBED = some(
    model=MODEL,
    texts=st.lists(TEXT, max_size=3),
    inputs=st.lists(
        st.fixed_dictionaries({"content": st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}))}),
        max_size=2,
    ),
    images=st.lists(TEXT, max_size=1),
    input_type=st.sampled_from(["search_query", "search_document", "classification", "clustering", "image"]),
    embedding_types=st.lists(st.sampled_from(TYPES), max_size=6),
    truncate=st.sampled_from(["NONE", "START", "END", None]),
    output_dimension=COUNT,
    max_tokens=COUNT,
    priority=st.integers(min_value=-1, max_value=1000),
    normalize=FLAG,
)
JINA_EMBED = some(
    model=MODEL,
    input=TEXT | st.lists(TEXT | st.fixed_dictionaries({"text": TEXT}), max_size=3),
    task=st.sampled_from(["retrieval.query", "retrieval.passage", "text-matching", "code.query", "other"]),
    embedding_type=st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), max_size=3),
    dimensions=COUNT,
    normalized=FLAG,
    truncate=FLAG,
)
DOCUMENT = TEXT | st.dictionaries(st.sampled_from(["text", "title"]), TEXT | st.integers() | st.none())
RERANK = some(
    model=MODEL,
    query=TEXT | st.fixed_dictionaries({"text": TEXT}),
    documents=st.lists(DOCUMENT, max_size=4),
    texts=st.lists(TEXT, max_size=4),
    top_n=COUNT,
    return_documents=FLAG,
    raw_scores=FLAG,
    rank_fields=st.lists(st.sampled_from(["text", "title"]), max_size=2),
    max_tokens_per_doc=COUNT,
    max_chunks_per_doc=COUNT,
    priority=st.integers(min_value=0, max_value=999),
    instruction=TEXT,
)

EMBED_PATHS = ["/v1/embed", "/v2/embed", "/cohere/v1/embed", "/cohere/v2/embed", "/invocations"]
JINA_PATHS = ["/v1/embeddings", "/embeddings", "/jina/v1/embeddings", "/invocations"]
RERANK_PATHS = ["/rerank", "/v1/rerank", "/v2/rerank", "/cohere/v1/rerank", "/jina/v1/rerank", "/invocations"]


def serve(application: Any) -> Iterator[Ask]:
    """A client of an application that stays open between the examples of a test."""
    with asyncio.Runner() as runner:
        runtime = runner.run(application.__aenter__())
        yield lambda path, body: runner.run(runtime.client.post(path, json=body))
        runner.run(application.__aexit__(None, None, None))


@pytest.fixture
def embedder() -> Iterator[Ask]:
    yield from serve(app_under_test(FakeBackend(dimensions=16), dimensions=16, model_dimensions=16))


@pytest.fixture
def ranker() -> Iterator[Ask]:
    yield from serve(reranker())


@OFTEN
@given(path=st.sampled_from(EMBED_PATHS), body=COHERE_EMBED)
def test_a_request_for_cohere_is_answered_or_refused(embedder: Ask, path: str, body: dict[str, Any]) -> None:
    response = embedder(path, body)
    assert response.status_code in (200, 400, 404, 422), response.text
    if response.status_code == 200 and "texts" in body:
        vectors = response.json()["embeddings"]
        lists = vectors.values() if isinstance(vectors, dict) else [vectors]
        assert {len(rows) for rows in lists} == {len(body["texts"])}


@OFTEN
@given(path=st.sampled_from(JINA_PATHS), body=JINA_EMBED)
def test_a_request_for_jina_is_answered_or_refused(embedder: Ask, path: str, body: dict[str, Any]) -> None:
    response = embedder(path, body)
    assert response.status_code in (200, 400, 404, 422), response.text
    if response.status_code == 200:
        expected = len(body["input"]) if isinstance(body["input"], list) else 1
        assert [entry["index"] for entry in response.json()["data"]] == list(range(expected))


@OFTEN
@given(path=st.sampled_from(RERANK_PATHS), body=RERANK)
def test_a_request_for_a_ranking_is_answered_or_refused(ranker: Ask, path: str, body: dict[str, Any]) -> None:
    response = ranker(path, body)
    assert response.status_code in (200, 400, 404, 422, 424), response.text
    if response.status_code == 200:
        answer = response.json()
        results = answer if isinstance(answer, list) else answer["results"]
        asked = body["texts"] if isinstance(answer, list) else body["documents"]
        assert len({entry["index"] for entry in results}) == len(results) <= len(asked)


PURPOSES = {None: "words", "search_query": "words-query"}


@OFTEN
@given(
    texts=st.lists(WORDS, min_size=1, max_size=3),
    dimensions=st.sampled_from([None, 8, 16]),
    purpose=st.sampled_from(list(PURPOSES)),
)
def test_floats_are_the_same_in_every_dialect(
    embedder: Ask, texts: list[str], dimensions: int | None, purpose: str | None
) -> None:
    name = PURPOSES[purpose]
    task = "retrieval.query" if purpose else None
    inner = {"model": name, "input": texts, "dimensions": dimensions}
    expected = np.float32([entry["embedding"] for entry in embedder("/v1/embeddings", inner).json()["data"]])

    cohere = {"model": "words", "texts": texts, "input_type": purpose, "output_dimension": dimensions}
    jina = {"model": "words", "input": texts, "task": task, "dimensions": dimensions}
    tei = {"inputs": texts, "prompt_name": "query" if purpose else None, "dimensions": dimensions}
    found = [
        embedder("/v2/embed", cohere).json()["embeddings"]["float"],
        [entry["embedding"] for entry in embedder("/jina/v1/embeddings", jina).json()["data"]],
        embedder("/embed", tei).json(),
        embedder("/invocations", tei).json(),
    ]
    if dimensions is None:
        found.append(embedder("/v1/embed", cohere).json()["embeddings"])
    for vectors in found:
        np.testing.assert_allclose(np.float32(vectors), expected, atol=1e-6)


@OFTEN
@given(query=WORDS, documents=st.lists(WORDS, min_size=1, max_size=4))
def test_scores_are_the_same_in_every_dialect(ranker: Ask, query: str, documents: list[str]) -> None:
    expected = scores_of(documents, query=query)
    body = {"model": "words", "query": query, "documents": documents}
    lists = [ranker(path, body).json()["results"] for path in RERANK_PATHS]
    for results in lists:
        found = {entry["index"]: entry["relevance_score"] for entry in results}
        np.testing.assert_allclose([found[index] for index in range(len(documents))], expected, rtol=1e-5)
    texts = ranker("/rerank", {"query": query, "texts": documents}).json()
    found = {entry["index"]: entry["score"] for entry in texts}
    np.testing.assert_allclose([found[index] for index in range(len(documents))], expected, rtol=1e-5)
