"""Jina's embeddings route: what its clients send, and what they need back."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, WordTokenizer, app_under_test, settings

from embedding_model.resolved import Prompt, Task
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.settings import TokenIds


async def embed(runtime: AppUnderTest, path: str = "/jina/v1/embeddings", **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    return await runtime.client.post(path, json={"model": "words", **body}, headers=headers)


def vectors(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return [entry["embedding"] for entry in response.json()["data"]]


async def test_texts_and_objects_are_answered_in_order_with_usage() -> None:
    async with app_under_test() as runtime:
        response = await embed(runtime, input=["hello world", {"text": "x"}])
        same = await runtime.embed(input=["hello world", "x"])
    assert response.json() == same.json()
    assert response.json()["usage"] == {"prompt_tokens": 3, "total_tokens": 3, "truncated_inputs": 0}


@pytest.mark.parametrize("single", ["hello", {"text": "hello"}])
async def test_one_input_need_not_be_a_list(single: Any) -> None:
    async with app_under_test() as runtime:
        assert vectors(await embed(runtime, input=single)) == vectors(await embed(runtime, input=["hello"]))


@pytest.mark.parametrize("field", ["embedding_type", "encoding_format", "encoding_type"])
async def test_the_type_of_number_has_three_names(field: str) -> None:
    async with app_under_test() as runtime:
        exact = np.float32(vectors(await embed(runtime, input=["hello"])))
        packed = vectors(await embed(runtime, input=["hello"], **{field: "base64"}))
        signs = await embed(runtime, input=["hello"], **{field: ["ubinary"]})
        signed = vectors(await embed(runtime, input=["hello"], **{field: "binary"}))
    assert np.frombuffer(base64.b64decode(packed[0]), dtype="<f4").tolist() == exact[0].tolist()
    assert (np.unpackbits(np.uint8(vectors(signs)), axis=1) == (exact > 0)).all()
    assert (np.int16(vectors(signs)) - 128).tolist() == signed
    assert signs.headers["x-embedding-space"] == f"{SPACE};type=ubinary"


async def test_several_types_come_as_an_object_of_each_input() -> None:
    async with app_under_test() as runtime:
        both = vectors(await embed(runtime, input=["hello", "x"], embedding_type=["float", "binary"]))
        exact = vectors(await embed(runtime, input=["hello", "x"]))
    assert [entry["float"] for entry in both] == exact
    assert [set(entry) for entry in both] == [{"float", "binary"}] * 2


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("retrieval.query", "query: hello"),
        ("retrieval.passage", "document: hello"),
        ("text-matching", "same: hello"),
        ("classification", "hello"),
        ("separation", "hello"),
        ("code.query", "code: hello"),
        ("nl2code.passage", "hello"),
    ],
)
async def test_the_task_chooses_the_models_prompt(task: str, text: str) -> None:
    prompts = (
        Prompt(name="query", text="query: "),
        Prompt(name="document", text="document: "),
        Prompt(name="text-matching", text="same: "),
        Prompt(name="code.query", text="code: "),
    )
    async with app_under_test(prompts=prompts) as runtime:
        by_task = await embed(runtime, model="words-query", task=task, input=["hello"])
        by_hand = await embed(runtime, input=[text])
    assert vectors(by_task) == vectors(by_hand)
    assert by_task.headers["x-embedding-space"] == SPACE


async def test_without_a_task_the_served_name_chooses_the_prompt() -> None:
    async with app_under_test() as runtime:
        by_name = await embed(runtime, model="words-query", input=["hello"])
        by_hand = await embed(runtime, input=["query: hello"])
    assert vectors(by_name) == vectors(by_hand)


async def test_dimensions_and_normalisation_are_the_requests_and_named_in_the_space() -> None:
    async with app_under_test() as runtime:
        cut = await embed(runtime, input=["hello"], dimensions=4)
        raw = await embed(runtime, input=["hello"], normalized="false", dimensions=8)
    assert len(vectors(cut)[0]) == 4
    assert np.linalg.norm(vectors(cut)[0]) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(vectors(raw)[0]) != pytest.approx(1, abs=1e-2)
    assert cut.headers["x-embedding-space"] == f"{SPACE};dims=4"
    assert raw.headers["x-embedding-space"] == f"{SPACE};norm=0"


async def test_a_text_that_is_too_long_is_an_error_unless_the_request_lets_it_be_cut() -> None:
    async with app_under_test(tokenizer=WordTokenizer(max_tokens=2)) as runtime:
        refused = await embed(runtime, input=["one two three"])
        cut = await embed(runtime, input=["one two three"], truncate=True)
        whole = await embed(runtime, input=["one two"])
    assert (refused.status_code, "Input 0 is longer" in refused.json()["detail"]) == (422, True)
    assert vectors(cut) == vectors(whole)
    assert cut.headers["x-truncated-inputs"] == "1"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 7}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [{"txt": "secret"}]}, "entry 0 is an object without a text under text"),
        ({"input": ["x", {"text": {"text": "secret"}}]}, "entry 1 is an object without a text"),
        ({"input": [{"image": "secret"}]}, "entry 0 is an image, and this model reads text alone"),
        ({"input": "x", "embedding_type": "int4"}, "embedding_type"),
        ({"input": "x", "encoding_type": []}, "encoding_type"),
        ({"input": "x", "task": "secret"}, "retrieval.query"),
        ({"input": "x", "task": 7}, "task"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "dimensions": 9}, "from 1 to 8"),
        ({"input": "x", "dimensions": 4, "embedding_type": "binary"}, "multiple of 8"),
        ({"input": "x", "normalized": "secret"}, "normalized"),
        ({"input": "x", "late_chunking": "secret"}, "late_chunking"),
        ({"input": "x", "truncate": 1}, "truncate"),
        ({"input": "x", "model": None}, "model"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: dict[str, Any], says: str) -> None:
    async with app_under_test() as runtime:
        response = await embed(runtime, **body)
    assert response.status_code == 422, response.text
    assert set(response.json()) == {"detail"}
    assert says in response.json()["detail"]
    assert "secret" not in response.text


@pytest.mark.parametrize("ids", [[15339, 1917], [[15339, 1917], [1]]])
@pytest.mark.parametrize("path", ["/jina/v1/embeddings", "/v1/embeddings"])
async def test_token_ids_are_refused_with_the_clients_setting(path: str, ids: list[Any]) -> None:
    async with app_under_test(serve=settings(token_ids=TokenIds.ACCEPT)) as runtime:
        response = await runtime.client.post(path, json={"model": "words", "input": ids, "task": "retrieval.query"})
    assert response.status_code == 422
    assert "check_embedding_ctx_length=False" in response.json()["detail"]


async def test_an_unknown_model_and_a_pinned_space_are_errors_with_a_detail() -> None:
    async with app_under_test() as runtime:
        unknown = await embed(runtime, model="jina-embeddings-v3", input="x")
        pinned = await embed(runtime, input="x", dimensions=4, headers={"x-embedding-space": SPACE})
    assert (unknown.status_code, set(unknown.json())) == (404, {"detail"})
    assert (pinned.status_code, set(pinned.json())) == (412, {"detail"})
    assert "words, words-query" in unknown.json()["detail"]


async def test_a_reranker_makes_no_vectors() -> None:
    async with app_under_test(FakeBackend(dimensions=1), task=Task.RERANKING) as runtime:
        response = await embed(runtime, input="x")
    assert (response.status_code, "Reranking" in response.json()["detail"]) == (422, True)
