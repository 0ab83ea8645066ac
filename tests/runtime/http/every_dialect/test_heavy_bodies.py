"""What is small as bytes and large as objects is refused before it is made."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rerankers import reranker
from runtime_under_test import app_under_test, settings

from embedding_runtime.http.body_weight import MOST_CONTAINERS, MOST_VALUES, Weight, count_outside_texts

EMBEDDERS = [
    "/openai/v1/embeddings",
    "/jina/v1/embeddings",
    "/v1/embed",
    "/v2/embed",
    "/embed",
    "/embed_all",
    "/tokenize",
]
RERANKERS = ["/v1/rerank", "/v2/rerank", "/jina/v1/rerank", "/rerank"]

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(alphabet='"\\[]{},:a\u00e9\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='"\\[{,a'), inner),
)


def count(value: Any) -> Weight:
    """The same by walking over the value."""
    if not isinstance(value, list | dict):
        return Weight(containers=0, values=0)
    inner = [count(entry) for entry in (value.values() if isinstance(value, dict) else value)]
    commas = max(0, len(value) - 1)
    return Weight(1 + sum(entry.containers for entry in inner), commas + sum(entry.values for entry in inner))


@given(value=VALUES, ensure_ascii=st.booleans(), piece=st.integers(1, 64))
def test_what_stands_in_texts_has_no_weight(value: Any, ensure_ascii: bool, piece: int) -> None:
    body = json.dumps(value, ensure_ascii=ensure_ascii).encode()
    assert count_outside_texts(body, piece_bytes=piece) == count(value)


def test_of_a_body_that_is_too_heavy_the_rest_is_not_looked_at() -> None:
    body = b"[" * (MOST_CONTAINERS + 1) + b"[" * 1_000_000
    found = count_outside_texts(body, piece_bytes=1000)
    assert found.is_too_much
    assert found.containers <= MOST_CONTAINERS + 1000


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":"a","x":[' + b"[]," * MOST_CONTAINERS + b"[]]}",
        b'{"inputs":"a","x":[' + b"{}," * MOST_CONTAINERS + b"[]]}",
        b'{"inputs":"a","x":[' + b"1," * (MOST_VALUES + 1) + b"1]}",
    ],
)
async def test_a_body_of_too_many_values_is_refused(body: bytes) -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/embed", content=body)
    assert (response.status_code, response.json()["error_type"]) == (422, "Validation")
    assert "The body has more than" in response.json()["error"]


async def test_a_text_full_of_brackets_and_commas_is_answered() -> None:
    text = '[{,"\\ ' * (MOST_VALUES + 1)
    async with app_under_test() as runtime:
        response = await runtime.client.post("/embed", json={"inputs": text})
    assert response.status_code == 200


@pytest.mark.parametrize("path", EMBEDDERS)
async def test_more_texts_than_a_request_may_hold_are_refused_unread(path: str) -> None:
    """The last of them is no text, which nobody has looked at."""
    texts = ["a", "b", "c", 5]
    async with app_under_test(serve=settings(max_inputs=3)) as runtime:
        body = {"model": "words", "input": texts, "inputs": texts, "texts": texts}
        response = await runtime.client.post(path, json=body)
    assert response.status_code in (400, 422)
    assert "At most 3 inputs in one request, 4 came." in response.text


async def test_more_sentences_than_a_request_may_hold_are_refused_unread() -> None:
    inputs = {"source_sentence": "a", "sentences": ["b", "c", 5]}
    async with app_under_test(serve=settings(max_inputs=3)) as runtime:
        response = await runtime.client.post("/similarity", json={"inputs": inputs})
        fitting = await runtime.client.post("/similarity", json={"inputs": inputs | {"sentences": ["b", "c"]}})
    assert (response.status_code, fitting.status_code) == (422, 200)
    assert "At most 2 sentences in one request, 3 came." in response.text


@pytest.mark.parametrize("path", RERANKERS)
async def test_more_documents_than_a_request_may_hold_are_refused_unread(path: str) -> None:
    documents = [*("a" for _ in range(settings().max_inputs)), 5]
    body = {"model": "words", "query": "q", "texts" if path == "/rerank" else "documents": documents}
    async with reranker() as runtime:
        response = await runtime.client.post(path, json=body)
    assert response.status_code in (400, 422)
    assert f"At most {settings().max_inputs} inputs in one request" in response.text


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/embed", "embedding_types", ["base64"] * 17),
        ("/v2/embed", "embedding_types", ["base64"] * 17),
        ("/jina/v1/embeddings", "embedding_type", ["base64"] * 17),
    ],
)
async def test_types_of_numbers_are_not_converted_as_often_as_they_are_named(
    path: str, field: str, value: list[str]
) -> None:
    body = {"model": "words", "texts": ["one"], "input": ["one"]}
    async with app_under_test() as runtime:
        many = await runtime.client.post(path, json={**body, field: value})
        twice = await runtime.client.post(path, json={**body, field: ["float", "base64", "float"]})
    assert many.status_code in (400, 422)
    assert twice.status_code == 200


async def test_a_field_that_is_named_twice_is_ranked_once() -> None:
    documents = [{"text": "one two", "title": "three"}, {"text": "four", "title": "five"}]
    body = {"model": "words", "query": "q", "documents": documents}
    async with reranker() as runtime:
        once = await runtime.client.post("/v1/rerank", json={**body, "rank_fields": ["text", "title"]})
        twice = await runtime.client.post("/v1/rerank", json={**body, "rank_fields": ["text", "title", "text"]})
        many = await runtime.client.post("/v1/rerank", json={**body, "rank_fields": ["text"] * 65})
    assert twice.json()["results"] == once.json()["results"]
    assert many.status_code == 400
