"""TEI's /embed_all: a vector for each token."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import DIMENSIONS, AppUnderTest, WordTokenizer, app_under_test

from embedding_model.resolved import Pooling, SparseHead, Task
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output


async def ask(runtime: AppUnderTest, inputs: Any, **more: Any) -> Any:
    return await runtime.client.post("/embed_all", json={"inputs": inputs, **more})


def expected(text: str) -> np.ndarray:
    [tokens] = WordTokenizer().encode([Text(text)])
    return np.stack([vector_of([token], dimensions=DIMENSIONS) for token in tokens.ids])


async def test_each_text_is_a_list_of_the_vectors_of_its_tokens() -> None:
    async with app_under_test() as runtime:
        single = (await ask(runtime, "hello world")).json()
        several = (await ask(runtime, ["other", "hello world"])).json()

    assert [len(rows) for rows in several] == [1, 2]
    np.testing.assert_allclose(several[1], expected("hello world"), rtol=1e-6)
    assert single == several[1:]


async def test_a_prompt_stands_before_the_text() -> None:
    async with app_under_test() as runtime:
        [rows] = (await ask(runtime, "hello", prompt_name="query")).json()
    np.testing.assert_allclose(rows, expected("query: hello"), rtol=1e-6)


async def test_what_is_too_long_is_cut_or_refused_as_the_request_says() -> None:
    async with app_under_test(tokenizer=WordTokenizer(max_tokens=2)) as runtime:
        cut = await ask(runtime, "one two three")
        refused = await ask(runtime, "one two three", truncate=False)
    np.testing.assert_allclose(cut.json()[0], expected("one two"), rtol=1e-6)
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(("inputs", "kind"), [([], "Empty"), ([1], "Validation"), ([["secret"]], "Validation")])
async def test_other_forms_are_refused_without_repeating_them(inputs: Any, kind: str) -> None:
    async with app_under_test() as runtime:
        response = await ask(runtime, inputs)
    assert response.json()["error_type"] == kind
    assert "secret" not in response.json()["error"]


async def test_a_sparse_model_has_no_vectors_of_tokens() -> None:
    head = SparseHead(pooling=Pooling.MAX, activation="relu")
    async with app_under_test(task=Task.SPARSE, inspection={"sparse": head}) as runtime:
        response = await ask(runtime, "hello")
    assert response.status_code == 424
    assert "POST /embed_sparse" in response.json()["error"]


async def test_a_long_text_is_encoded_in_pieces_and_answered_whole() -> None:
    text = " ".join(f"word{number}" for number in range(20_000))  # of 8 dimensions: more than one piece
    async with app_under_test(tokenizer=WordTokenizer(max_tokens=20_000), max_batch_tokens=20_000) as runtime:
        [rows] = (await ask(runtime, text)).json()
    assert len(rows) == 20_000
    np.testing.assert_allclose([rows[0], rows[-1]], expected("word0 word19999"), rtol=1e-6)


async def test_an_answer_that_would_fill_the_memory_is_refused_before_it_is_computed() -> None:
    backend = FakeBackend()
    async with app_under_test(backend, model_dimensions=2**23) as runtime:
        fits = await ask(runtime, ["one", "two"])
        backend.batches.clear()
        refused = await ask(runtime, ["one", "two three"])
    assert fits.status_code == 200
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert "3 tokens together; at most 2" in refused.json()["error"]
    assert not backend.batches


class BrokenBackend(FakeBackend):
    def compute(self, batch: Any) -> list[Output]:
        return [Output(token_vectors=np.array([[np.nan, 0]], dtype=np.float32)) for _ in batch]


async def test_a_vector_that_is_no_number_is_an_error_and_no_answer() -> None:
    async with app_under_test(BrokenBackend()) as runtime:
        response = await ask(runtime, "hello")
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
