"""TEI's /tokenize and /decode: the tokens of the model's own tokenizer, and back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from real_tokenizer import CLS, IDS, SEP, UNKNOWN, text_tokenizer
from runtime_under_test import AppUnderTest, app_under_test, settings

from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core import tokenizing


@pytest.fixture
async def runtime() -> AsyncIterator[AppUnderTest]:
    backend = FakeBackend()
    async with app_under_test(backend, tokenizer=text_tokenizer(), max_input_tokens=16) as found:
        yield found
        assert backend.batches == []


async def tokenize(runtime: AppUnderTest, inputs: Any, **more: Any) -> Any:
    return await runtime.client.post("/tokenize", json={"inputs": inputs, **more})


async def decode(runtime: AppUnderTest, ids: Any, **more: Any) -> Any:
    return await runtime.client.post("/decode", json={"ids": ids, **more})


def special(token_id: int, text: str) -> dict[str, Any]:
    return {"id": token_id, "text": text, "special": True, "start": None, "stop": None}


def token(piece: str, *, text: str, start: int) -> dict[str, Any]:
    return {"id": IDS[piece], "text": text, "special": False, "start": start, "stop": start + len(text)}


async def test_a_token_says_where_it_stands_in_the_text_and_a_special_one_its_name(runtime: AppUnderTest) -> None:
    [tokens] = (await tokenize(runtime, "Über Pods")).json()
    assert tokens == [
        special(CLS, "[CLS]"),
        token("über", text="Über", start=0),
        token("pod", text="Pod", start=5),
        token("##s", text="s", start=8),
        special(SEP, "[SEP]"),
    ]


async def test_special_tokens_and_the_prompt_are_as_the_request_says(runtime: AppUnderTest) -> None:
    bare = (await tokenize(runtime, ["hello", "world."], add_special_tokens=False)).json()
    [asked] = (await tokenize(runtime, "hello", prompt_name="query", add_special_tokens="false")).json()
    assert [[token["id"] for token in tokens] for tokens in bare] == [[IDS["hello"]], [IDS["world"], IDS["."]]]
    assert [token["text"] for token in asked] == ["query", ":", "hello"]
    assert asked[-1]["start"] == len("query: ")


async def test_the_default_prompt_applies_as_it_does_to_vectors() -> None:
    async with app_under_test(tokenizer=text_tokenizer(), max_input_tokens=16, default_prompt="query") as runtime:
        default = (await tokenize(runtime, "hello")).json()
        named = (await tokenize(runtime, "hello", prompt_name="query")).json()
        without = (await tokenize(runtime, "hello", prompt="")).json()
    assert default == named
    assert [token["text"] for token in without[0]] == ["[CLS]", "hello", "[SEP]"]


async def test_a_text_is_shown_whole_however_much_the_model_takes(runtime: AppUnderTest) -> None:
    [tokens] = (await tokenize(runtime, "hello " * 100)).json()
    assert len(tokens) == 102


async def test_ids_are_decoded_with_or_without_special_tokens(runtime: AppUnderTest) -> None:
    ids = [CLS, IDS["hello"], IDS["pod"], IDS["##s"], SEP]
    assert (await decode(runtime, ids)).json() == ["hello pods"]
    assert (await decode(runtime, [ids, [IDS["world"]]])).json() == ["hello pods", "world"]
    assert (await decode(runtime, ids, skip_special_tokens=False)).json() == ["[CLS] hello pods [SEP]"]


async def test_what_is_tokenized_can_be_decoded(runtime: AppUnderTest) -> None:
    texts = ["hello world", "pods", ""]
    tokens = (await tokenize(runtime, texts)).json()
    assert (await decode(runtime, [[token["id"] for token in each] for each in tokens])).json() == texts


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "says"),
    [
        ("/tokenize", {"inputs": []}, 400, "Empty", "at least one text"),
        ("/tokenize", {}, 422, "Validation", "inputs: Field required"),
        ("/tokenize", {"inputs": [1, 2]}, 422, "Validation", "token ids"),
        ("/tokenize", {"inputs": {"secret": 1}}, 422, "Validation", "a text or a list of texts"),
        ("/tokenize", {"inputs": "x", "prompt_name": "secret"}, 422, "Validation", "query, document"),
        ("/tokenize", {"inputs": "x", "add_special_tokens": 1}, 422, "Validation", "true or false"),
        ("/tokenize", {"inputs": ["x"] * 2049}, 422, "Validation", "At most 2048"),
        ("/tokenize", {"inputs": ["x" * 300_000] * 2}, 422, "Validation", "600000 characters"),
        ("/decode", {"ids": []}, 400, "Empty", "at least one"),
        ("/decode", {}, 422, "Validation", "ids: Field required"),
        ("/decode", {"ids": "secret"}, 422, "Validation", "token ids"),
        ("/decode", {"ids": [1, "secret"]}, 422, "Validation", "whole numbers"),
        ("/decode", {"ids": [[1], "secret"]}, 422, "Validation", "whole numbers"),
        ("/decode", {"ids": [True]}, 422, "Validation", "whole numbers"),
        ("/decode", {"ids": [-1]}, 422, "Validation", "whole numbers"),
        ("/decode", {"ids": [2**40]}, 422, "Validation", "whole numbers"),
        ("/decode", {"ids": [[1], [999]]}, 422, "Validation", "999 is none"),
        ("/decode", {"ids": [1] * (tokenizing.MOST_IDS + 1)}, 422, "Validation", "at most 262144"),
        ("/decode", {"ids": [[1]] * 2049}, 422, "Validation", "At most 2048"),
    ],
)
async def test_what_is_wrong_is_said_in_teis_form(
    runtime: AppUnderTest, path: str, body: dict[str, Any], status: int, kind: str, says: str
) -> None:
    refused = await runtime.client.post(path, json=body)
    assert (refused.status_code, refused.json()["error_type"]) == (status, kind)
    assert says in refused.json()["error"]
    assert "secret" not in refused.text


async def test_a_word_that_no_token_spells_is_the_unknown_token(runtime: AppUnderTest) -> None:
    [tokens] = (await tokenize(runtime, "zebra", add_special_tokens=False)).json()
    assert tokens == [{"id": UNKNOWN, "text": "zebra", "special": False, "start": 0, "stop": 5}]


async def test_texts_to_tokenize_count_for_the_queue() -> None:
    async with app_under_test(tokenizer=text_tokenizer(), serve=settings(max_queue_tokens=1)) as runtime:
        with runtime.app.loaded.engine.admission.admit(1):
            full = await tokenize(runtime, "hello")
    assert (full.status_code, full.json()["error_type"]) == (429, "Overloaded")
