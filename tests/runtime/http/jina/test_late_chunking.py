"""Late chunking: all inputs are read as one text, and each gets the mean of its own tokens' vectors."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, app_under_test, settings
from word_level import FIRST, LAST, ids_of, word_level

from embedding_model.resolved import HeadModule, ModuleKind, Pooling
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.jobs import Tokens

PIECES = ["w0 w1", "w2", "w3 w4 w5"]


async def chunk(runtime: AppUnderTest, texts: Sequence[str] = PIECES, **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    document = {"model": "words", "input": list(texts), "late_chunking": True, **body}
    return await runtime.client.post("/jina/v1/embeddings", json=document, headers=headers)


def mean_of(ids: Sequence[int]) -> np.ndarray:
    vector = np.stack([vector_of([token], dimensions=8) for token in ids]).mean(axis=0)
    return np.asarray(vector / np.linalg.norm(vector))


def vectors(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.float32([entry["embedding"] for entry in response.json()["data"]])


async def test_each_input_has_the_mean_of_its_own_tokens_from_one_pass_over_all() -> None:
    backend = FakeBackend()
    async with app_under_test(backend, tokenizer=word_level(max_tokens=16)) as runtime:
        response = await chunk(runtime)
    expected = [mean_of([FIRST, *ids_of("w0 w1")]), mean_of(ids_of("w2")), mean_of([*ids_of("w3 w4 w5"), LAST])]
    np.testing.assert_allclose(vectors(response), expected, atol=1e-6)
    assert backend.batches == [[8]]
    assert response.headers["x-embedding-space"] == f"{SPACE};late=1"
    assert response.json()["usage"] == {"prompt_tokens": 8, "total_tokens": 8, "truncated_inputs": 0}


@pytest.mark.parametrize("include_prompt", [True, False])
async def test_the_prompt_stands_before_the_first_input_alone(include_prompt: bool) -> None:
    seen: list[Sequence[int]] = []
    backend = FakeBackend(before=lambda batch: seen.extend(tokens.ids for tokens in batch))
    tokenizer = word_level(max_tokens=16, include_prompt=include_prompt)
    async with app_under_test(backend, tokenizer=tokenizer, include_prompt=include_prompt) as runtime:
        seen.clear()
        response = await chunk(runtime, task="retrieval.query")
    assert seen == [[FIRST, *ids_of("query: w0 w1 w2 w3 w4 w5"), LAST]]
    first = [FIRST, *ids_of("query: w0 w1")] if include_prompt else ids_of("w0 w1")
    np.testing.assert_allclose(vectors(response)[0], mean_of(first), atol=1e-6)
    np.testing.assert_allclose(vectors(response)[1], mean_of(ids_of("w2")), atol=1e-6)


async def test_numbers_are_cut_and_typed_as_of_any_vector() -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=16)) as runtime:
        response = await chunk(runtime, dimensions=4)
        pinned = await chunk(runtime, headers={"x-embedding-space": SPACE})
    assert vectors(response).shape == (3, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors(response), axis=1), 1, atol=1e-6)
    assert response.headers["x-embedding-space"] == f"{SPACE};dims=4;late=1"
    assert pinned.status_code == 412


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["w0 " * 9, "w1 " * 6], id="tokens"),
        pytest.param(["w0"] * 17, id="inputs"),
        pytest.param(["w" * 150_000, "w" * 150_000], id="characters"),
    ],
)
@pytest.mark.parametrize("truncate", [True, False])
async def test_inputs_that_are_too_long_together_are_refused_and_never_cut(texts: list[str], truncate: bool) -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=16)) as runtime:
        response = await chunk(runtime, texts, truncate=truncate)
    assert response.status_code == 422
    assert "late_chunking reads all inputs as one text" in response.json()["detail"]


async def test_an_input_without_a_token_is_refused_by_its_number() -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=16)) as runtime:
        response = await chunk(runtime, ["w0", " ", "w1"])
    assert (response.status_code, "Input 1 holds no token" in response.json()["detail"]) == (422, True)


async def test_an_input_of_which_only_its_prompt_is_left_is_no_error_of_the_server() -> None:
    tokenizer = word_level(max_tokens=16, include_prompt=False)
    async with app_under_test(tokenizer=tokenizer, include_prompt=False) as runtime:
        response = await chunk(runtime, ["", "w1"], task="retrieval.query")
    assert (response.status_code, "Input 0 holds no token" in response.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "model",
    [
        {"pooling": Pooling.CLS},
        {"further_poolings": (Pooling.MAX,)},
        {
            "inspection": {
                "modules": (
                    HeadModule(kind=ModuleKind.DENSE, folder="2_Dense", input_dimensions=8, output_dimensions=8),
                )
            }
        },
    ],
)
async def test_models_whose_vectors_are_no_mean_of_their_tokens_refuse_it(model: dict[str, Any]) -> None:
    async with app_under_test(tokenizer=word_level(max_tokens=16), **model) as runtime:
        response = await chunk(runtime)
    assert response.status_code == 422
    assert "mean pooling" in response.json()["detail"]


async def test_numbers_that_are_none_are_an_error_and_no_answer() -> None:
    class Broken(FakeBackend):
        def compute(self, batch: Sequence[Tokens]) -> Any:
            outputs = super().compute(batch)
            return [
                type(output)(token_vectors=None if output.token_vectors is None else output.token_vectors * np.nan)
                for output in outputs
            ]

    async with app_under_test(Broken(), tokenizer=word_level(max_tokens=16), serve=settings()) as runtime:
        response = await chunk(runtime)
    assert (response.status_code, "NaN" in response.json()["detail"]) == (500, True)
