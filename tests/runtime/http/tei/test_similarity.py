"""TEI's /similarity: how similar each of several texts is to one."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, app_under_test

from embedding_model.resolved import Task
from embedding_runtime.backends.fake import FakeBackend

SOURCE, SENTENCES = "hello world", ["hello world", "something else"]


async def ask(runtime: AppUnderTest, source: Any = SOURCE, sentences: Any = SENTENCES, **parameters: Any) -> Any:
    body = {"inputs": {"source_sentence": source, "sentences": sentences}, "parameters": parameters}
    return await runtime.client.post("/similarity", json=body)


@pytest.mark.parametrize("normalize", [True, False])
async def test_it_is_the_cosine_of_the_vectors_whatever_the_model_normalises(normalize: bool) -> None:
    async with app_under_test(normalize=normalize) as runtime:
        answer = await ask(runtime)
        vectors = np.array((await runtime.client.post("/embed", json={"inputs": [SOURCE, *SENTENCES]})).json())
    np.testing.assert_allclose(answer.json(), vectors[1:] @ vectors[0], atol=1e-6)
    assert answer.json()[0] == pytest.approx(1, abs=1e-6)
    assert max(answer.json()) <= 1
    assert answer.headers["x-embedding-space"] == SPACE
    assert answer.headers["x-compute-tokens"] == "6"


async def test_the_prompt_stands_before_all_of_the_texts() -> None:
    async with app_under_test() as runtime:
        asked = (await ask(runtime, prompt_name="query")).json()
        written = (await ask(runtime, f"query: {SOURCE}", [f"query: {text}" for text in SENTENCES])).json()
        plain = (await ask(runtime)).json()
    assert asked == written != plain


async def test_parameters_may_be_left_out_and_null() -> None:
    body = {"inputs": {"source_sentence": "a", "sentences": ["b"]}}
    async with app_under_test() as runtime:
        answers = [
            await runtime.client.post("/similarity", json={**body, **more})
            for more in ({}, {"parameters": None}, {"parameters": {"truncate": None, "prompt_name": None}})
        ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    ("inputs", "parameters", "status", "kind", "says"),
    [
        ({"source_sentence": "a", "sentences": []}, {}, 400, "Empty", "sentences"),
        ({"source_sentence": "a"}, {}, 422, "Validation", "inputs.sentences: Field required"),
        ({"source_sentence": ["secret"], "sentences": ["b"]}, {}, 422, "Validation", "inputs"),
        ("secret", {}, 422, "Validation", "inputs"),
        ({"source_sentence": "a", "sentences": ["b"]}, {"prompt_name": "secret"}, 422, "Validation", "query, document"),
        ({"source_sentence": "a", "sentences": ["w " * 600]}, {"truncate": "false"}, 422, "Validation", "512 tokens"),
    ],
)
async def test_what_is_wrong_is_said_in_teis_form(
    inputs: Any, parameters: dict[str, Any], status: int, kind: str, says: str
) -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        refused = await runtime.client.post("/similarity", json={"inputs": inputs, "parameters": parameters})
    assert (refused.status_code, refused.json()["error_type"]) == (status, kind)
    assert says in refused.json()["error"]
    assert "secret" not in refused.text
    assert backend.batches == []


async def test_a_model_of_another_task_says_where_to_ask() -> None:
    async with app_under_test(task=Task.CLASSIFICATION) as runtime:
        refused = await ask(runtime)
    assert (refused.status_code, refused.json()["error_type"]) == (424, "Backend")
