"""TEI's /embed: bare vectors, normalised unless the request says otherwise, and TEI's own errors."""

from typing import Any

import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, app_under_test

from embedding_model.resolved import Task
from embedding_runtime.backends.fake import FakeBackend


async def ask(runtime: AppUnderTest, inputs: Any, **more: Any) -> Any:
    headers = more.pop("headers", {})
    return await runtime.client.post("/embed", json={"inputs": inputs, **more}, headers=headers)


async def test_a_text_and_a_list_are_lists_of_vectors_equal_to_those_of_the_other_route() -> None:
    async with app_under_test() as runtime:
        single = await ask(runtime, "hello world")
        several = await ask(runtime, ["other", "hello world"])
        openai = await runtime.embed(input=["other", "hello world"])
    vectors = [entry["embedding"] for entry in openai.json()["data"]]
    assert several.json() == vectors
    assert single.json() == [vectors[1]]
    assert single.headers["x-embedding-space"] == SPACE


async def test_vectors_have_length_one_unless_the_request_says_otherwise_whatever_the_model_does() -> None:
    async with app_under_test(normalize=False) as runtime:
        normed, raw = await ask(runtime, "hello"), await ask(runtime, "hello", normalize=False)
    assert np.linalg.norm(normed.json()) == pytest.approx(1, abs=1e-6)
    assert abs(np.linalg.norm(raw.json()) - 1) > 0.1
    assert normed.headers["x-embedding-space"] == f"{SPACE};norm=1"
    assert raw.headers["x-embedding-space"] == SPACE


async def test_dimensions_and_prompts_are_those_of_the_request() -> None:
    async with app_under_test(default_prompt="document") as runtime:
        default = (await ask(runtime, "hello")).json()
        query = (await ask(runtime, "hello", prompt_name="query")).json()
        kind = (await ask(runtime, "hello", input_type="search_query")).json()
        cut = await ask(runtime, "hello", dimensions=4, prompt="")
        [document, asked, plain] = (await ask(runtime, ["document: hello", "query: hello", "hello"], prompt="")).json()
    assert default == [document]
    assert query == kind == [asked]
    assert cut.headers["x-embedding-space"] == f"{SPACE};dims=4"
    np.testing.assert_allclose(cut.json()[0], np.float32(plain[:4]) / np.linalg.norm(plain[:4]), rtol=1e-6)


async def test_a_text_that_is_too_long_is_cut_or_refused_as_the_request_says() -> None:
    async with app_under_test() as runtime:
        cut = await ask(runtime, "word " * 600)
        refused = await ask(runtime, ["short", "word " * 600], truncate=False)
        absent = await ask(runtime, "word " * 600, truncate=None)
    assert (cut.status_code, absent.status_code) == (200, 200)
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert "Input 1 is longer than the 512 tokens" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "kind", "says"),
    [
        pytest.param({"inputs": []}, 400, "Empty", "at least one text", id="an empty list"),
        pytest.param({}, 422, "Validation", "inputs", id="no inputs"),
        pytest.param({"inputs": [[1, 2]]}, 422, "Validation", "token ids", id="token ids"),
        pytest.param({"inputs": 3}, 422, "Validation", "a text or a list of texts", id="a number"),
        pytest.param({"inputs": "x", "dimensions": 9}, 422, "Validation", "from 1 to 8", id="too many dimensions"),
        pytest.param(
            {"inputs": "x", "prompt_name": "secret"}, 422, "Validation", "query, document", id="no such prompt"
        ),
        pytest.param({"inputs": "x", "instruction": "secret"}, 422, "Validation", "instruction", id="no template"),
    ],
)
async def test_what_is_wrong_is_said_in_teis_form(body: dict[str, Any], status: int, kind: str, says: str) -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        refused = await runtime.client.post("/embed", json=body)
    assert (refused.status_code, refused.json()["error_type"]) == (status, kind)
    assert says in refused.json()["error"]
    assert "secret" not in refused.text
    assert backend.batches == []


@pytest.mark.parametrize(
    ("path", "body"),
    [("/embed", {"inputs": "a"}), ("/tokenize", {"inputs": "a"}), ("/decode", {"ids": [1]})],
)
async def test_a_foreign_pin_is_refused_wherever_it_stands(path: str, body: dict[str, Any]) -> None:
    """Token ids are a model's own, too."""
    async with app_under_test() as runtime:
        right, wrong = ("x-embedding-space", SPACE), ("x-embedding-space", f"{SPACE};dims=4")
        answers = [
            (await runtime.client.post(path, json=body, headers=pins)).status_code
            for pins in ([right], [right, right], [wrong], [right, wrong], [wrong, right])
        ]
    assert answers == [200, 200, 412, 412, 412]


async def test_a_pin_and_the_task_are_held_to() -> None:
    async with app_under_test() as runtime:
        other = await ask(runtime, "hello", normalize=False, headers={"x-embedding-space": SPACE})
    async with app_under_test(task=Task.CLASSIFICATION) as runtime:
        task = await ask(runtime, "hello")
    assert other.status_code == 412
    assert (task.status_code, task.json()["error_type"]) == (424, "Backend")
