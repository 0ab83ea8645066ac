"""TEI's /rerank and the errors of its dialect: what its clients send, and what they need back."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import numpy as np
import pytest
from runtime_under_test import SPACE, AppUnderTest, WordTokenizer, app_under_test, settings

from embedding_model.resolved import Activation, ScoreRule, Scoring, Side, Task
from embedding_runtime import errors
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.inputs import Pair
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.reranking import MAX_INSTRUCTION, activate
from embedding_runtime.http.app import GOLDEN_CASE
from embedding_runtime.http.errors import TABLE, find_status
from embedding_runtime.http.messages import Receive, Scope, Send
from embedding_runtime.http.tei.routes import STATUSES, describe_error

QUERY = "which pod restarts"
TEXTS = ["the weather", "a pod on another node", "kubernetes", "the capital of France"]
HEAD = Scoring(rule=ScoreRule.CLASSIFICATION_HEAD)
TEMPLATE = Scoring(rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token_id=1)


def reranker(
    *, activation: Activation = Activation.SIGMOID, scoring: Scoring = HEAD, **more: Any
) -> AbstractAsyncContextManager[AppUnderTest]:
    found = {"scoring": scoring, "activation": activation}
    backend = more.pop("backend", None) or FakeBackend(dimensions=1)
    return app_under_test(backend, task=Task.RERANKING, activation=activation, inspection=found, **more)


async def rank(runtime: AppUnderTest, **body: Any) -> Any:
    return await runtime.client.post("/rerank", json={"query": QUERY, "texts": TEXTS, **body})


def logits(texts: Sequence[str] = TEXTS) -> np.ndarray:
    tokens = WordTokenizer().encode([Pair(QUERY, text) for text in texts])
    return np.concatenate([vector_of(pair.ids, dimensions=1) for pair in tokens])


async def test_texts_come_back_as_numbers_and_scores_best_first() -> None:
    async with reranker() as runtime:
        response = await rank(runtime)
    answer = response.json()
    assert [set(entry) for entry in answer] == [{"index", "score"}] * len(TEXTS)
    assert [entry["index"] for entry in answer] == np.argsort(-logits()).tolist()
    np.testing.assert_allclose(
        [entry["score"] for entry in answer], 1 / (1 + np.exp(-np.sort(logits())[::-1])), rtol=1e-6
    )
    assert response.headers["x-embedding-space"] == SPACE


@pytest.mark.parametrize("activation", list(Activation))
async def test_scores_are_sigmoids_and_raw_scores_logits_whatever_the_activation(activation: Activation) -> None:
    """As TEI answers. The space says which of the two is another kind of answer than the model is served for."""
    async with reranker(activation=activation) as runtime:
        raw = await rank(runtime, raw_scores=True)
        scores = await rank(runtime, raw_scores="false")
    best = np.sort(logits())[::-1]
    np.testing.assert_allclose([entry["score"] for entry in raw.json()], best, rtol=1e-6)
    np.testing.assert_allclose([entry["score"] for entry in scores.json()], 1 / (1 + np.exp(-best)), rtol=1e-6)
    served_raw, served_sigmoid = activation is Activation.IDENTITY, activation in ("Sigmoid", "Softmax")
    assert raw.headers["x-embedding-space"] == SPACE + ("" if served_raw else ";out=raw")
    assert scores.headers["x-embedding-space"] == SPACE + ("" if served_sigmoid else ";out=sigmoid")


@pytest.mark.parametrize("activation", list(Activation))
async def test_the_scores_of_a_golden_case_are_those_of_the_served_activation(activation: Activation) -> None:
    async with reranker(activation=activation) as runtime:

        async def as_golden_case(scope: Scope, receive: Receive, send: Send) -> None:
            await runtime.app({**scope, "state": {GOLDEN_CASE: ""}}, receive, send)

        transport = httpx.ASGITransport(app=as_golden_case)
        async with httpx.AsyncClient(transport=transport, base_url="http://golden-case") as client:
            answer = await client.post("/rerank", json={"query": QUERY, "texts": TEXTS})
    expected = activate(np.sort(logits())[::-1], activation=activation)
    np.testing.assert_allclose([entry["score"] for entry in answer.json()], expected, rtol=1e-6)
    assert answer.headers["x-embedding-space"] == SPACE


async def test_texts_are_returned_when_asked_for() -> None:
    async with reranker() as runtime:
        answer = (await rank(runtime, return_text=True)).json()
    assert [entry["text"] for entry in answer] == [TEXTS[entry["index"]] for entry in answer]


def saturated(tokens: Tokens) -> np.ndarray:
    return np.float32([20 + len(tokens.ids)])


async def test_the_order_follows_the_logits_where_scores_are_equal() -> None:
    class Saturated(FakeBackend):
        def compute(self, batch: Sequence[Tokens]) -> Any:
            outputs = super().compute(batch)
            return [type(output)(dense=saturated(tokens)) for output, tokens in zip(outputs, batch, strict=True)]

    texts = ["a b", "a", "a b c d", "a b c"]
    async with reranker(backend=Saturated(dimensions=1)) as runtime:
        answer = (await rank(runtime, texts=texts)).json()
    assert [entry["score"] for entry in answer] == [1.0] * 4
    assert [entry["index"] for entry in answer] == [2, 3, 0, 1]


async def test_a_score_that_is_no_number_is_an_error() -> None:
    class Broken(FakeBackend):
        def compute(self, batch: Sequence[Tokens]) -> Any:
            return [type(output)(dense=np.float32([np.nan])) for output in super().compute(batch)]

    async with reranker(backend=Broken(dimensions=1)) as runtime:
        response = await rank(runtime)
    assert response.status_code == 424
    assert response.json()["error_type"] == "Backend"
    assert response.headers["x-should-retry"] == "false"


async def test_what_is_too_long_is_cut_unless_the_request_forbids_it() -> None:
    long = [*TEXTS, "word " * 40]
    async with reranker(tokenizer=WordTokenizer(max_tokens=20)) as runtime:
        cut = await rank(runtime, texts=long)
        refused = await rank(runtime, texts=long, truncate=False)
        short = await rank(runtime, truncate=False)
    assert (cut.status_code, short.status_code) == (200, 200)
    assert refused.status_code == 422
    assert refused.json()["error_type"] == "Validation"
    assert "20 tokens" in refused.json()["error"]
    assert "word" not in refused.json()["error"]


@pytest.mark.parametrize(
    ("asked", "side"), [(None, None), ("Left", Side.LEFT), ("right", Side.RIGHT), ("Right", Side.RIGHT)]
)
async def test_the_request_says_from_which_side_a_text_is_cut(asked: str | None, side: Side | None) -> None:
    sides: list[Side | None] = []

    class Recording(WordTokenizer):
        def encode(self, inputs: Any) -> list[Tokens]:
            sides.extend(item.side for item in inputs)
            return super().encode(inputs)

    async with reranker(tokenizer=Recording(), truncation_side=Side.LEFT) as runtime:
        sides.clear()
        response = await rank(runtime, truncation_direction=asked)
    assert (response.status_code, response.headers["x-embedding-space"]) == (200, SPACE)
    assert sides == [side] * len(TEXTS)


async def test_an_instruction_is_taken_where_the_template_has_a_place_for_one() -> None:
    class Reading(WordTokenizer):
        def encode(self, inputs: Any) -> list[Tokens]:
            return super().encode([Pair(f"{item.instruction} {item.query}", item.document) for item in inputs])

    async with reranker(scoring=TEMPLATE, tokenizer=Reading()) as runtime:
        plain = (await rank(runtime, raw_scores=True)).json()
        told = await rank(runtime, raw_scores=True, instruction="find pods")
        long = await rank(runtime, instruction="x" * (MAX_INSTRUCTION + 1))
    assert told.status_code == 200
    assert told.json() != plain
    assert (long.status_code, long.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    ("body", "status", "kind", "says"),
    [
        ({"texts": []}, 400, "Empty", "texts"),
        ({"texts": None}, 422, "Validation", "texts"),
        ({"texts": "one"}, 422, "Validation", "texts"),
        ({"texts": [1]}, 422, "Validation", "texts"),
        ({"query": None}, 422, "Validation", "query"),
        ({"query": ["secret"]}, 422, "Validation", "query"),
        ({"raw_scores": "perhaps"}, 422, "Validation", "raw_scores"),
        ({"truncation_direction": "Up"}, 422, "Validation", "truncation_direction"),
        ({"instruction": "find pods"}, 422, "Validation", "instruction"),
        ({"texts": ["x"] * 3000}, 422, "Validation", "2048"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(body: dict[str, Any], status: int, kind: str, says: str) -> None:
    async with reranker() as runtime:
        response = await rank(runtime, **body)
    assert response.status_code == status
    assert set(response.json()) >= {"error", "error_type"}
    assert response.json()["error_type"] == kind
    assert says in response.json()["error"]
    assert "secret" not in response.json()["error"]


async def test_unknown_fields_and_nulls_are_ignored() -> None:
    async with reranker() as runtime:
        assert (await rank(runtime, truncate=None, top_n=3, model="anything")).status_code == 200


async def test_a_model_of_another_task_says_where_to_ask() -> None:
    async with app_under_test() as runtime:
        response = await rank(runtime)
    assert response.status_code == 424
    assert response.json()["error_type"] == "Backend"
    assert "POST /v1/embeddings" in response.json()["error"]


async def test_a_pin_of_another_space_is_refused() -> None:
    async with reranker() as runtime:
        body = {"query": QUERY, "texts": TEXTS}
        right = await runtime.client.post("/rerank", json=body, headers={"x-embedding-space": SPACE})
        wrong = await runtime.client.post("/rerank", json=body, headers={"x-embedding-space": "sp1-" + "0" * 32})
    assert (right.status_code, wrong.status_code) == (200, 412)


async def test_a_body_that_is_too_large_is_refused_in_the_same_words() -> None:
    async with reranker(serve=settings(max_body_bytes=1000)) as runtime:
        response = await rank(runtime, texts=["x" * 2000])
    assert response.status_code == 413
    assert response.json()["error_type"] == "Validation"


@pytest.mark.parametrize("kind", sorted(TABLE, key=lambda kind: kind.__name__))
def test_every_error_has_a_type_and_a_status_of_this_dialect(kind: type[errors.RequestError]) -> None:
    error = kind("what went wrong")
    document = describe_error(error, TABLE[kind])
    assert isinstance(document, dict)
    assert document["error"] == "what went wrong"
    types = {"Unauthorized", "Validation", "Empty", "Tokenizer", "Backend", "Overloaded", "Unhealthy"}
    assert document["error_type"] in types
    status = find_status(type(error), statuses=STATUSES)
    if document["error_type"] in ("Backend", "Tokenizer"):
        assert status == 424
    if document["error_type"] == "Overloaded":
        assert status in (429, 503)
