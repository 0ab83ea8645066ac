"""Cohere's embed routes: what its SDKs send, and what they need back."""

import base64
import uuid
from typing import Any

import httpx
import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, app_under_test
from word_level import FIRST, LAST, ids_of, word_level

from embedding_model.resolved import Prompt, Task
from embedding_runtime.backends.fake import FakeBackend, vector_of

TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


async def embed(runtime: AppUnderTest, path: str = "/v2/embed", **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    return await runtime.client.post(path, json={"model": "words", **body}, headers=headers)


async def floats(runtime: AppUnderTest, **body: Any) -> np.ndarray:
    response = await embed(runtime, **body)
    assert response.status_code == 200, response.text
    return np.float32(response.json()["embeddings"]["float"])


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


async def test_version_2_answers_by_type_and_a_request_without_types_means_float() -> None:
    async with app_under_test() as runtime:
        answer = (await embed(runtime, "/cohere/v2/embed", texts=["hello world", "x"])).json()
        same = (await runtime.embed(input=["hello world", "x"])).json()
    assert set(answer) == {"id", "embeddings", "texts", "meta", "response_type"}
    assert uuid.UUID(answer["id"])
    assert answer["response_type"] == "embeddings_by_type"
    assert answer["embeddings"]["float"] == [entry["embedding"] for entry in same["data"]]
    assert answer["texts"] == ["hello world", "x"]
    assert answer["meta"] == {
        "api_version": {"version": "2"},
        "billed_units": {"input_tokens": 3},
        "tokens": {"input_tokens": 3},
    }


async def test_every_type_of_number_is_made_of_the_same_vector() -> None:
    async with app_under_test(FakeBackend(dimensions=16), dimensions=16, model_dimensions=16) as runtime:
        response = await embed(runtime, texts=["hello", "x"], embedding_types=TYPES)
    found = response.json()["embeddings"]
    assert list(found) == TYPES
    exact = np.float32(found["float"])
    assert np.float32([np.frombuffer(base64.b64decode(text), dtype="<f4") for text in found["base64"]]).tolist() == (
        exact.tolist()
    )
    np.testing.assert_allclose(np.float32(found["int8"]) / 127, exact, atol=0.5 / 127 + 1e-6)
    assert (np.int16(found["uint8"]) - 128).tolist() == found["int8"]
    assert (np.unpackbits(np.uint8(found["ubinary"]), axis=1) == (exact > 0)).all()
    assert (np.int16(found["ubinary"]) - 128).tolist() == found["binary"]
    assert response.headers["x-embedding-space"] == f"{SPACE};type=binary+int8+ubinary+uint8"


async def test_version_1_without_types_answers_a_plain_list_and_needs_no_model() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/cohere/v1/embed", json={"texts": ["hello"]})
        same = await runtime.embed(input="hello")
    answer = response.json()
    assert answer["response_type"] == "embeddings_floats"
    assert answer["embeddings"] == [same.json()["data"][0]["embedding"]]
    assert answer["meta"]["api_version"] == {"version": "1"}


async def test_version_1_with_types_answers_by_type() -> None:
    async with app_under_test() as runtime:
        answer = (await embed(runtime, "/v1/embed", texts=["hello"], embedding_types=["float"], truncate=None)).json()
    assert answer["response_type"] == "embeddings_by_type"
    assert list(answer["embeddings"]) == ["float"]


async def test_a_path_without_the_prefix_adds_what_clients_of_other_dialects_read() -> None:
    async with app_under_test() as runtime:
        answer = (await embed(runtime, texts=["hello world"])).json()
    assert answer["model"] == "words"
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2, "truncated_inputs": 0}


@pytest.mark.parametrize(
    ("input_type", "text"),
    [
        ("search_query", "query: hello"),
        ("search_document", "document: hello"),
        ("classification", "label: hello"),
        ("clustering", "hello"),
    ],
)
async def test_the_input_type_chooses_the_models_prompt(input_type: str, text: str) -> None:
    prompts = (
        Prompt(name="query", text="query: "),
        Prompt(name="document", text="document: "),
        Prompt(name="classification", text="label: "),
    )
    async with app_under_test(prompts=prompts) as runtime:
        by_type = await floats(runtime, model="words-query", texts=["hello"], input_type=input_type)
        by_hand = await floats(runtime, texts=[text])
    assert by_type.tolist() == by_hand.tolist()


async def test_without_an_input_type_the_served_name_chooses_the_prompt() -> None:
    async with app_under_test() as runtime:
        by_name = await floats(runtime, model="words-query", texts=["hello"])
        by_hand = await floats(runtime, texts=["query: hello"])
    assert by_name.tolist() == by_hand.tolist()


async def test_an_output_dimension_cuts_and_is_named_in_the_space() -> None:
    async with app_under_test() as runtime:
        response = await embed(runtime, texts=["hello"], output_dimension=4)
        same = await runtime.embed(input="hello", dimensions=4)
    assert response.json()["embeddings"]["float"] == [same.json()["data"][0]["embedding"]]
    assert response.headers["x-embedding-space"] == f"{SPACE};dims=4"


async def test_parts_of_text_are_read_as_one_text() -> None:
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "world"}]
    async with app_under_test() as runtime:
        answer = (await embed(runtime, "/cohere/v2/embed", inputs=[{"content": parts}])).json()
        whole = await floats(runtime, texts=["hello\nworld"])
    assert np.float32(answer["embeddings"]["float"]).tolist() == whole.tolist()
    assert "texts" not in answer


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        pytest.param({}, ["w0 w1 w2 w3"], id="as served"),
        pytest.param({"truncate": "END"}, ["w0 w1 w2 w3"], id="the end"),
        pytest.param({"truncate": "START"}, ["w4 w5 w6 w7"], id="the start"),
        pytest.param({"truncate": "START", "max_tokens": 4}, ["w6 w7"], id="the start, shorter"),
        pytest.param({"max_tokens": 3}, ["w0"], id="shorter"),
        pytest.param({"max_tokens": 100}, ["w0 w1 w2 w3"], id="longer than the model takes"),
        pytest.param({"truncate": "START", "input_type": "search_query"}, ["query: w5 w6 w7"], id="never the prompt"),
    ],
)
async def test_a_text_is_cut_where_the_request_says(body: dict[str, Any], ids: list[str]) -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=6), max_input_tokens=6) as runtime:
        response = await embed(runtime, texts=["w0 w1 w2 w3 w4 w5 w6 w7", "w0"], **body)
    found = np.float32(response.json()["embeddings"]["float"][0])
    np.testing.assert_allclose(found, unit(vector_of([FIRST, *ids_of(ids[0]), LAST], dimensions=8)), atol=1e-6)
    assert response.json()["usage"]["truncated_inputs"] == 1
    assert response.headers["x-truncated-inputs"] == "1"


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed", "/cohere/v1/embed", "/cohere/v2/embed"])
async def test_meta_warns_of_texts_that_were_cut(path: str) -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=6), max_input_tokens=6) as runtime:
        cut = await embed(runtime, path, texts=["w0 w1 w2 w3 w4", "w0", "w1"])
        whole = await embed(runtime, path, texts=["w0", "w1"])
    assert cut.json()["meta"]["warnings"] == ["1 of 3 inputs were too long and were cut."]
    assert "warnings" not in whole.json()["meta"]


@pytest.mark.parametrize("body", [{"texts": ["w0 " * 9]}, {"texts": ["w0 w1 w2"], "max_tokens": 4}])
async def test_none_refuses_a_text_that_is_too_long(body: dict[str, Any]) -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=6), max_input_tokens=6) as runtime:
        response = await embed(runtime, truncate="NONE", **body)
    assert response.status_code == 400
    assert "Input 0 is longer" in response.json()["message"]


@pytest.mark.parametrize("path", ["/v2/embed", "/cohere/v2/embed"])
@pytest.mark.parametrize("most", [1, 2])
async def test_less_than_one_token_of_a_text_is_refused(path: str, most: int) -> None:
    """Special tokens alone would be the same vector for every text."""
    async with app_under_test(tokenizer=word_level(max_tokens=6), max_input_tokens=6) as runtime:
        response = await embed(runtime, path, texts=["w0 w1", "w2 w3"], max_tokens=most)
    assert response.status_code == 400
    assert "max_tokens: " in response.json()["message"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "texts"),
        ({"texts": []}, "texts: must hold at least one text"),
        ({"texts": "secret"}, "texts"),
        ({"texts": [1]}, "texts"),
        ({"texts": ["x"], "inputs": [{"content": [{"type": "text", "text": "x"}]}]}, "send one of the two"),
        ({"inputs": [{"content": []}]}, "inputs"),
        ({"inputs": ["secret"]}, "inputs"),
        ({"inputs": [{"content": [{"type": "image_url", "image_url": {"url": "secret"}}]}]}, "reads text alone"),
        ({"images": ["data:secret"]}, "reads text alone"),
        ({"texts": ["x"], "input_type": "image"}, "reads text alone"),
        ({"texts": ["x"], "input_type": "secret"}, "input_type"),
        ({"texts": ["x"], "embedding_types": ["secret"]}, "embedding_types"),
        ({"texts": ["x"], "embedding_types": []}, "embedding_types"),
        ({"texts": ["x"], "truncate": "MIDDLE"}, "truncate"),
        ({"texts": ["x"], "output_dimension": 0}, "output_dimension"),
        ({"texts": ["x"], "output_dimension": 9}, "output_dimension: from 1 to 8"),
        ({"texts": ["x"], "output_dimension": 4, "embedding_types": ["binary"]}, "multiple of 8"),
        ({"texts": ["x"], "normalize": False, "embedding_types": ["int8"]}, "not normalised"),
        ({"texts": ["x"], "max_tokens": 0}, "max_tokens"),
        ({"texts": ["x"], "priority": 1000}, "priority"),
        ({"texts": ["x"], "model": None}, "model"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: dict[str, Any], says: str) -> None:
    async with app_under_test() as runtime:
        response = await embed(runtime, "/cohere/v2/embed", **body)
    assert response.status_code == 400, response.text
    assert set(response.json()) == {"id", "message"}
    assert says in response.json()["message"]
    assert "secret" not in response.text


async def test_an_unknown_model_is_told_in_the_vendors_words() -> None:
    async with app_under_test() as runtime:
        response = await embed(runtime, "/cohere/v2/embed", model="embed-v4.0", texts=["x"])
    assert response.status_code == 404
    assert response.json()["message"].startswith("model not found, make sure the correct model ID was used")
    assert "words, words-query" in response.json()["message"]


async def test_a_pinned_space_is_answered_or_refused() -> None:
    pinned = {"x-embedding-space": f"{SPACE};type=int8"}
    async with app_under_test() as runtime:
        same = await embed(runtime, texts=["x"], embedding_types=["int8"], headers=pinned)
        other = await embed(runtime, texts=["x"], embedding_types=["float"], headers=pinned)
    assert (same.status_code, other.status_code) == (200, 412)


async def test_a_reranker_makes_no_vectors() -> None:
    async with app_under_test(task=Task.RERANKING) as runtime:
        response = await embed(runtime, "/cohere/v2/embed", texts=["x"])
    assert response.status_code == 400
    assert "Reranking" in response.json()["message"]
