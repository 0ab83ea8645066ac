"""What a request may change about its vectors beyond OpenAI's own fields, and what the space header says of it."""

import hashlib
from typing import Any

import numpy as np
import pytest
from runtime_under_test import SPACE, app_under_test

from embedding_model.resolved import Prompt
from embedding_runtime.backends.fake import FakeBackend

PROMPTS = (
    Prompt(name="query", text="Instruct: find it\nQuery: "),
    Prompt(name="document", text="document: "),
)


def digest(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("asked", "prompt", "suffix"),
    [
        ({}, "", ""),
        ({"prompt_name": "query"}, "Instruct: find it\nQuery: ", ""),
        ({"input_type": "query"}, "Instruct: find it\nQuery: ", ""),
        ({"input_type": "search_query"}, "Instruct: find it\nQuery: ", ""),
        ({"input_type": "document"}, "document: ", ""),
        ({"input_type": "passage"}, "document: ", ""),
        ({"input_type": "search_document"}, "document: ", ""),
        ({"prompt": "other: "}, "other: ", f";prompt={digest('other: ')}"),
        ({"prompt": "document: "}, "document: ", ""),
        ({"prompt": ""}, "", ""),
        (
            {"instruction": "explain it"},
            "Instruct: explain it\nQuery: ",
            f";prompt={digest('Instruct: explain it' + chr(10) + 'Query: ')}",
        ),
        ({"instruction": "find it"}, "Instruct: find it\nQuery: ", ""),
    ],
)
async def test_a_request_chooses_its_prompt(asked: dict[str, Any], prompt: str, suffix: str) -> None:
    async with app_under_test(prompts=PROMPTS) as runtime:
        found = await runtime.embed(input="hello", **asked)
        by_hand = await runtime.embed(input=f"{prompt}hello")
    assert found.status_code == 200
    assert found.json()["data"] == by_hand.json()["data"]
    assert found.headers["x-embedding-space"] == SPACE + suffix


async def test_a_request_goes_before_the_prompt_of_the_name_that_it_uses() -> None:
    async with app_under_test(prompts=PROMPTS) as runtime:
        named = await runtime.embed(input="hello", model="words-query")
        other = await runtime.embed(input="hello", model="words-query", input_type="document")
        none = await runtime.embed(input="hello", model="words-query", prompt="")
        [as_document, plain] = (await runtime.embed(input=["document: hello", "hello"])).json()["data"]
    assert other.json()["data"][0]["embedding"] == as_document["embedding"] != named.json()["data"][0]["embedding"]
    assert none.json()["data"][0]["embedding"] == plain["embedding"]


async def test_a_raw_vector_is_the_pooled_one_and_says_so() -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        raw = await runtime.embed(input="hello", normalize=False)
        served = await runtime.embed(input="hello")
        same = await runtime.embed(input="hello", normalize="true")
    vectors = [np.float32(answer.json()["data"][0]["embedding"]) for answer in (raw, served, same)]
    assert abs(np.linalg.norm(vectors[0]) - 1) > 0.1
    np.testing.assert_allclose(vectors[0] / np.linalg.norm(vectors[0]), vectors[1], rtol=1e-6)
    assert raw.headers["x-embedding-space"] == f"{SPACE};norm=0"
    assert served.headers["x-embedding-space"] == same.headers["x-embedding-space"] == SPACE


async def test_a_model_that_is_served_raw_may_be_asked_for_vectors_of_length_one() -> None:
    async with app_under_test(normalize=False) as runtime:
        raw, normed = [await runtime.embed(input="hello", normalize=value) for value in (False, True)]
    assert raw.headers["x-embedding-space"] == SPACE
    assert normed.headers["x-embedding-space"] == f"{SPACE};norm=1"
    assert np.linalg.norm(normed.json()["data"][0]["embedding"]) == pytest.approx(1, abs=1e-6)


async def test_changes_stand_in_one_order_and_a_pin_has_to_name_them_all() -> None:
    asked = {"input": "hello", "prompt": "other: ", "normalize": False, "dimensions": 4}
    suffix = f";dims=4;norm=0;prompt={digest('other: ')}"
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        pinned = await runtime.embed(**asked, headers={"x-embedding-space": SPACE + suffix})
        assert pinned.status_code == 200
        assert pinned.headers["x-embedding-space"] == SPACE + suffix
        backend.batches.clear()
        for wrong in ("", ";dims=4", ";dims=4;norm=0", f";dims=4;norm=0;prompt={digest('another: ')}"):
            refused = await runtime.embed(**asked, headers={"x-embedding-space": SPACE + wrong})
            assert refused.status_code == 412
    assert backend.batches == []


@pytest.mark.parametrize(
    ("asked", "param", "says"),
    [
        pytest.param({"prompt_name": "secret"}, "prompt_name", "it has: query, document", id="unknown prompt"),
        pytest.param({"prompt_name": 3}, "prompt_name", "string", id="a name that is a number"),
        pytest.param({"input_type": "secret"}, "input_type", "'query' or 'document'", id="unknown kind"),
        pytest.param({"input_type": ["query"]}, "input_type", "'query' or 'document'", id="a list of kinds"),
        pytest.param({"normalize": "secret"}, "normalize", "true or false", id="normalize is a word"),
        pytest.param({"prompt": ["secret"]}, "prompt", "string", id="a list of prompts"),
        pytest.param({"prompt": "secret", "instruction": "x"}, "instruction", "send one", id="two at once"),
        pytest.param({"instruction": "secret", "input_type": "document"}, "instruction", "queries", id="for documents"),
        pytest.param({"prompt": "x" * 4097}, "prompt", "at most 4096", id="a prompt that is an input"),
    ],
)
async def test_a_wrong_choice_is_named_and_its_text_never_repeated(
    asked: dict[str, Any], param: str, says: str
) -> None:
    backend = FakeBackend()
    async with app_under_test(backend, prompts=PROMPTS) as runtime:
        refused = await runtime.embed(input="hello", **asked)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert says in error["message"]
    assert "secret" not in error["message"]
    assert backend.batches == []
