"""Token ids in place of text: refused by default, and where they are taken the same vector bit for bit."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from real_tokenizer import CLS, IDS, SEP, text_tokenizer
from runtime_under_test import SPACE, AppUnderTest, app_under_test, settings

from embedding_model.resolved import Pooling, SparseHead, Task
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.end_token import require_end_token
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.settings import Device, ServeSettings, TokenIds

TEXTS = ["hello world", "pods.", "über zebra"]
OPENAI, EMBED, EMBED_ALL = "/v1/embeddings", "/embed", "/embed_all"
FIELDS = {OPENAI: "input", EMBED: "inputs", EMBED_ALL: "inputs"}


async def ask(runtime: AppUnderTest, path: str, inputs: Any, **more: Any) -> Any:
    body = {FIELDS[path]: inputs, **more}
    return await runtime.client.post(path, json={"model": "words", **body})


def vectors_of(path: str, answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return [entry["embedding"] for entry in answer.json()["data"]] if path == OPENAI else answer.json()


async def tokenize(runtime: AppUnderTest, texts: list[str], **more: Any) -> list[list[int]]:
    answer = await runtime.client.post("/tokenize", json={"inputs": texts, **more})
    return [[token["id"] for token in tokens] for tokens in answer.json()]


@pytest.fixture
async def runtime() -> AsyncIterator[AppUnderTest]:
    async with app_under_test(
        serve=settings(token_ids=TokenIds.ACCEPT), tokenizer=text_tokenizer(), max_input_tokens=16
    ) as found:
        yield found


@pytest.mark.parametrize("path", [OPENAI, EMBED, EMBED_ALL])
@pytest.mark.parametrize("inputs", [[[15339, 1917]], [15339, 1917], ["text", [15339]], [[["secret"]]]])
async def test_ids_are_refused_unless_the_model_is_served_with_them(path: str, inputs: Any) -> None:
    backend = FakeBackend()
    async with app_under_test(backend, tokenizer=text_tokenizer()) as runtime:
        refused = await ask(runtime, path, inputs)
    assert refused.status_code == (400 if path == OPENAI else 422)
    assert "check_embedding_ctx_length=False" in refused.text
    assert "15339" not in refused.text
    assert "secret" not in refused.text
    assert backend.batches == []


@pytest.mark.parametrize("path", [OPENAI, EMBED, EMBED_ALL])
async def test_the_ids_of_a_text_give_its_vector_bit_for_bit(runtime: AppUnderTest, path: str) -> None:
    ids = await tokenize(runtime, TEXTS)
    expected = vectors_of(path, await ask(runtime, path, TEXTS))
    assert vectors_of(path, await ask(runtime, path, ids)) == expected
    assert vectors_of(path, await ask(runtime, path, ids[0])) == expected[:1]
    assert vectors_of(path, await ask(runtime, path, [TEXTS[0], ids[1], TEXTS[2]])) == expected


async def test_a_real_model_gives_the_same_vector_bit_for_bit(minilm_folder: Path) -> None:
    serve = ServeSettings(
        model=minilm_folder, device=Device.CPU, token_ids=TokenIds.ACCEPT, served_names=("words",), workers=1
    )
    opened = await open_model(serve, load=load_model, telemetry=Silent())
    runtime = AppUnderTest(serve=serve, metrics=Metrics())
    runtime.open(opened)
    try:
        for text in ("What is the capital of France?", "Überlange Wörter, 漢字 and unbelievably-long", ""):
            [ids] = await tokenize(runtime, [text])
            for path in FIELDS:
                expected = vectors_of(path, await ask(runtime, path, text))
                assert vectors_of(path, await ask(runtime, path, ids)) == expected
    finally:
        opened.close()
        await runtime.client.aclose()


async def test_ids_lie_in_the_same_space_and_are_counted(runtime: AppUnderTest) -> None:
    answer = await ask(runtime, OPENAI, [[CLS, IDS["hello"], SEP], "hello"])
    assert answer.headers["x-embedding-space"] == SPACE
    assert answer.json()["usage"]["total_tokens"] == 6
    assert "embedding_token_id_inputs_total 1.0" in runtime.metrics.render().decode()


@pytest.mark.parametrize("path", [OPENAI, EMBED, EMBED_ALL])
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        pytest.param([[]], "0 token ids", id="none"),
        pytest.param([[CLS] * 17], "17 token ids; from 1 to 16", id="more than the model takes"),
        pytest.param([CLS, len(IDS)], f"token id {len(IDS)} is none", id="not of this tokenizer"),
        pytest.param([CLS, -1], "whole numbers", id="negative"),
        pytest.param([CLS, 2**31], "whole numbers", id="huge"),
        pytest.param([CLS, 1.5], "whole numbers", id="a fraction"),
        pytest.param([CLS, True], "whole numbers", id="a boolean"),
        pytest.param([CLS, "secret"], "whole numbers", id="a text among them"),
        pytest.param([[CLS], [["secret"]]], "whole numbers", id="deeper lists"),
        pytest.param([[CLS]] * 2049, "At most 2048", id="too many inputs"),
    ],
)
async def test_ids_that_are_none_of_a_text_are_refused(runtime: AppUnderTest, path: str, ids: Any, says: str) -> None:
    refused = await ask(runtime, path, ids)
    assert refused.status_code == (400 if path == OPENAI else 422)
    assert says in refused.text
    assert "secret" not in refused.text


async def test_ids_beyond_the_models_weights_are_a_refusal_and_no_failure() -> None:
    backend = FakeBackend(vocabulary_size=IDS["pod"] + 1)
    serve = settings(token_ids=TokenIds.ACCEPT)
    async with app_under_test(backend, serve=serve, tokenizer=text_tokenizer(), max_input_tokens=16) as runtime:
        backend.batches.clear()
        known = await ask(runtime, OPENAI, [CLS, IDS["pod"], SEP])
        unknown = await ask(runtime, OPENAI, [CLS, IDS["##s"], SEP])
    assert (known.status_code, unknown.status_code) == (200, 400)
    assert sum(map(len, backend.batches)) == 1


async def test_a_prompt_that_would_apply_has_to_be_in_the_ids() -> None:
    serve = settings(token_ids=TokenIds.ACCEPT)
    tokenizer = text_tokenizer()
    async with app_under_test(
        serve=serve, tokenizer=tokenizer, max_input_tokens=16, default_prompt="document"
    ) as runtime:
        [ids] = await tokenize(runtime, ["hello"], prompt_name="query")
        for path in FIELDS:
            default = await ask(runtime, path, ids)
            named = await ask(runtime, path, ids, prompt_name="query")
            without = await ask(runtime, path, ids, prompt="")
            text = await ask(runtime, path, "hello", prompt_name="query")
            assert default.status_code == named.status_code == (400 if path == OPENAI else 422)
            assert 'Send prompt \\"\\"' in default.text
            assert vectors_of(path, without) == vectors_of(path, text)


async def test_ids_have_to_end_with_the_token_that_the_vector_is_read_from() -> None:
    serve = settings(token_ids=TokenIds.ACCEPT)
    tokenizer = require_end_token(text_tokenizer(), end_token="[SEP]")
    async with app_under_test(serve=serve, tokenizer=tokenizer, max_input_tokens=16) as runtime:
        whole = await ask(runtime, OPENAI, [CLS, IDS["hello"], SEP])
        cut = await ask(runtime, OPENAI, [CLS, IDS["hello"]])
    assert (whole.status_code, cut.status_code) == (200, 400)
    assert f"does not end with {SEP}" in cut.json()["error"]["message"]


async def test_sparse_vectors_are_made_of_texts_alone() -> None:
    head = SparseHead(pooling=Pooling.MAX, activation="relu")
    serve = settings(token_ids=TokenIds.ACCEPT)
    async with app_under_test(
        serve=serve, tokenizer=text_tokenizer(), task=Task.SPARSE, inspection={"sparse": head}
    ) as runtime:
        refused = await runtime.client.post("/embed_sparse", json={"inputs": [CLS, SEP]})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
