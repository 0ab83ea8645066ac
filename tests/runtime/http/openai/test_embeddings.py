"""OpenAI's embeddings route: what its clients send, and what they need back."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import numpy as np
import orjson
import pytest
from runtime_under_test import REVISION, SPACE, app_under_test, settings, until

from embedding_model.goldens.questions import Question, QuestionKind
from embedding_model.resolved import Task
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.gate import ask_app
from embedding_runtime.http.dialect import PATHS


async def test_a_string_and_a_list_are_answered_in_order_with_usage() -> None:
    async with app_under_test() as runtime:
        single = (await runtime.embed(input="hello world")).json()
        several = (await runtime.embed(input=["other", "hello world"])).json()

    assert single["object"] == "list"
    assert single["model"] == "words"
    assert single["usage"] == {"prompt_tokens": 2, "total_tokens": 2, "truncated_inputs": 0}
    assert [entry["index"] for entry in several["data"]] == [0, 1]
    np.testing.assert_allclose(several["data"][1]["embedding"], single["data"][0]["embedding"], atol=1e-7)
    assert np.linalg.norm(single["data"][0]["embedding"]) == pytest.approx(1, abs=1e-6)


async def test_base64_holds_the_same_float32_values_as_the_float_form() -> None:
    async with app_under_test() as runtime:
        floats = (await runtime.embed(input="hello")).json()["data"][0]["embedding"]
        packed = (await runtime.embed(input="hello", encoding_format="base64")).json()["data"][0]["embedding"]

    assert np.frombuffer(base64.b64decode(packed), dtype="<f4").tolist() == np.float32(floats).tolist()


async def test_the_route_without_v1_is_the_same() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/embeddings", json={"model": "words", "input": "hello"})
    assert response.status_code == 200


async def test_null_means_absent_and_unknown_fields_are_ignored() -> None:
    async with app_under_test() as runtime:
        response = await runtime.embed(input="hello", dimensions=None, encoding_format=None, user=None, surprise=[1])
    assert response.status_code == 200


async def test_two_thousand_and_forty_eight_inputs_are_answered_in_one_request() -> None:
    async with app_under_test(workers=2) as runtime:
        response = await runtime.embed(input=[f"text {index}" for index in range(2048)])
    assert len(response.json()["data"]) == 2048


async def test_a_served_name_applies_its_prompt() -> None:
    async with app_under_test() as runtime:
        by_name = await runtime.client.post("/v1/embeddings", json={"model": "words-query", "input": "hello"})
        by_hand = await runtime.embed(input="query: hello")
    assert by_name.json()["data"] == by_hand.json()["data"]


async def test_the_default_prompt_applies_to_a_name_without_one() -> None:
    async with app_under_test(default_prompt="document") as runtime:
        default = await runtime.embed(input="hello")
        query = await runtime.client.post("/v1/embeddings", json={"model": "words-query", "input": "hello"})
    assert default.json()["usage"]["total_tokens"] == 2
    assert default.json()["data"] != query.json()["data"]


async def test_an_unknown_model_is_openais_404_and_names_what_is_served() -> None:
    async with app_under_test() as runtime:
        response = await runtime.embed(input="hello", model="gpt-4")
    assert response.status_code == 404
    error = response.json()["error"]
    assert error["code"] == "model_not_found"
    assert error["param"] == "model"
    assert "words, words-query" in error["message"]


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        pytest.param({"input": []}, "input", "empty list", id="empty list"),
        pytest.param({}, "input", "required", id="no input"),
        pytest.param({"input": None}, "input", "required", id="null input"),
        pytest.param({"input": [[15339, 1917]]}, "input", "check_embedding_ctx_length=False", id="token ids, nested"),
        pytest.param({"input": [15339, 1917]}, "input", "check_embedding_ctx_length=False", id="token ids, flat"),
        pytest.param({"input": ["fine", {"text": "secret"}]}, "input", "entry 1", id="an object"),
        pytest.param({"input": ["fine", True]}, "input", "entry 1", id="a boolean"),
        pytest.param({"input": 7}, "input", "a text or a list of texts", id="a number"),
        pytest.param({"input": "x", "dimensions": 0}, "dimensions", "greater than or equal to 1", id="no dimensions"),
        pytest.param({"input": "x", "dimensions": 9}, "dimensions", "from 1 to 8", id="more than the model has"),
        pytest.param({"input": "x", "dimensions": "many"}, "dimensions", "integer", id="not a number"),
        pytest.param({"input": "x", "encoding_format": "int8"}, "encoding_format", "base64", id="unknown format"),
        pytest.param({"input": "x", "model": None}, "model", "required", id="no model"),
        pytest.param({"input": "x", "model": 3}, "model", "string", id="model is a number"),
    ],
)
async def test_a_wrong_field_is_named_and_its_value_never_repeated(
    body: dict[str, object], param: str, says: str
) -> None:
    async with app_under_test() as runtime:
        response = await runtime.embed(**body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert says in error["message"]
    assert "secret" not in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"model": "words", "input": "\xff"}', id="broken UTF-8"),
        pytest.param(b'{"model": "words", "input": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"model": "words", "input": NaN}', id="NaN"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
async def test_a_body_that_is_no_json_object_is_a_400(body: bytes) -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/v1/embeddings", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"]


async def test_a_body_over_the_limit_is_a_413_that_closes_the_connection() -> None:
    async with app_under_test(serve=settings(max_body_bytes=1000)) as runtime:
        declared = await runtime.embed(input="x" * 1000)

        async def stream():
            for _ in range(20):
                yield b" " * 100

        streamed = await runtime.client.post("/v1/embeddings", content=stream())
    for response in (declared, streamed):
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
        assert response.json()["error"]["code"] == "body_too_large"


async def test_more_inputs_than_allowed_are_refused_whatever_their_size() -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        response = await runtime.embed(input=["a"] * 2049)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input"
    assert "At most 2048 inputs in one request, 2049 came" in response.json()["error"]["message"]
    assert backend.batches == []


async def test_bodies_beyond_the_budget_are_a_429_while_those_before_are_answered() -> None:
    go = asyncio.Event()

    async def slowly(text: str) -> AsyncIterator[bytes]:
        body = json.dumps({"model": "words", "input": text}).encode()
        yield body[:-10]
        await go.wait()
        yield body[-10:]

    async with app_under_test(serve=settings(max_buffered_bytes=1000)) as runtime:
        budget = runtime.app._bodies
        alone = await runtime.embed(input="long " * 400)
        assert (alone.status_code, budget.bytes) == (200, 0)
        slow = asyncio.create_task(runtime.client.post("/v1/embeddings", content=slowly("slow " * 160)))
        await until(lambda: budget.bytes > 800)
        refused = await runtime.embed(input="other " * 50)
        small = await runtime.embed(input="small")
        go.set()
        assert (await slow).status_code == 200
        again = await runtime.embed(input="other " * 50)
        assert budget.bytes == 0
    assert (refused.status_code, small.status_code, again.status_code) == (429, 200, 200)
    assert refused.headers["retry-after"] == "1"
    assert "connection" not in refused.headers, "the body was read to its end, so the connection stays"


async def test_a_golden_case_is_answered_while_bodies_fill_the_budget() -> None:
    async with app_under_test(serve=settings(max_buffered_bytes=10)) as runtime:
        with runtime.app._bodies.hold() as others:
            others.add(10)
            assert (await runtime.embed(input="hello")).status_code == 429
            answer = await ask_app(runtime.app)(Question(kind=QuestionKind.EMBED, text="hello"))
    assert answer.error is None


async def test_every_response_names_space_and_revision_errors_too() -> None:
    async with app_under_test() as runtime:
        responses = [
            await runtime.embed(input="hello"),
            await runtime.embed(input=[]),
            await runtime.embed(input="hello", model="other"),
            await runtime.client.get("/v1/models"),
            await runtime.client.get("/nothing"),
            await runtime.client.get("/v1/embeddings"),
            await runtime.client.get("/health"),
        ]
    assert [response.status_code for response in responses] == [200, 400, 404, 200, 404, 405, 200]
    for response in responses:
        assert response.headers["x-embedding-space"] == SPACE
        assert response.headers["x-model-revision"] == REVISION
        assert "x-embedding-verified" not in response.headers
        assert "connection" not in response.headers


async def test_other_dimensions_are_another_space_by_suffix() -> None:
    async with app_under_test() as runtime:
        cut = await runtime.embed(input="hello", dimensions=4)
        same = await runtime.embed(input="hello", dimensions=8)
        cut_to_served = await runtime.embed(input="hello", dimensions=4)
    assert cut.headers["x-embedding-space"] == f"{SPACE};dims=4"
    assert len(cut.json()["data"][0]["embedding"]) == 4
    assert np.linalg.norm(cut_to_served.json()["data"][0]["embedding"]) == pytest.approx(1, abs=1e-6)
    assert same.headers["x-embedding-space"] == SPACE


async def test_a_model_served_with_fewer_dimensions_names_a_request_for_all_of_them() -> None:
    async with app_under_test(dimensions=4) as runtime:
        served = await runtime.embed(input="hello")
        whole = await runtime.embed(input="hello", dimensions=8)
    assert len(served.json()["data"][0]["embedding"]) == 4
    assert served.headers["x-embedding-space"] == SPACE
    assert whole.headers["x-embedding-space"] == f"{SPACE};dims=8"


@pytest.mark.parametrize(
    ("pin", "dimensions", "status"),
    [
        (SPACE, None, 200),
        (f"{SPACE};dims=4", 4, 200),
        (f"{SPACE}; dims=4", 4, 200),
        ("sp1-" + "00" * 16, None, 412),
        (SPACE, 4, 412),
        (f"{SPACE};dims=4", None, 412),
    ],
)
async def test_a_client_that_pins_a_space_never_gets_another(pin: str, dimensions: int | None, status: int) -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        response = await runtime.embed(input="hello", dimensions=dimensions, headers={"x-embedding-space": pin})
    assert response.status_code == status
    if status == 412:
        assert response.headers["x-should-retry"] == "false"
        assert response.json()["error"]["code"] == "space_mismatch"
        assert backend.batches == []


async def test_models_lists_every_served_name() -> None:
    async with app_under_test() as runtime:
        listing = (await runtime.client.get("/v1/models")).json()
    assert listing["object"] == "list"
    assert [model["id"] for model in listing["data"]] == ["words", "words-query"]
    assert all(model["object"] == "model" and "created" in model and "owned_by" in model for model in listing["data"])


async def test_an_unknown_path_is_answered_with_the_path_of_every_task() -> None:
    async with app_under_test() as runtime:
        response = await runtime.client.post("/v1/nowhere", json={})
    message = response.json()["error"]["message"]
    assert (response.status_code, set(PATHS)) == (404, set(Task))
    assert all(f"{task}: {path}" in message for task, paths in PATHS.items() for path in paths)


async def test_info_says_what_is_served_and_by_which_implementation() -> None:
    async with app_under_test() as runtime:
        info = (await runtime.client.get("/info")).json()
    assert info["source"] == "acme/words"
    assert info["space"] == SPACE
    assert info["serving"]["dimensions"] == 8
    assert (info["device"], info["dtype"], info["path"]) == ("cpu", "float32", "fake")


async def test_full_is_429_with_a_time_to_wait_and_a_type_that_clients_retry() -> None:
    async with app_under_test(serve=settings(max_queue_tokens=1)) as runtime:
        admission = runtime.app.loaded.engine.admission
        with admission.admit(1):
            refused = await runtime.embed(input="hello")
        accepted = await runtime.embed(input="hello " * 500)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert b"invalid_request_error" not in refused.content
    assert accepted.status_code == 200


async def test_an_unexpected_error_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with app_under_test() as runtime:
        runtime.app.loaded.engine._tokenizer._tokenizer = None
        response = await runtime.embed(input="secret text")
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text + caplog.text


async def test_requests_are_counted_by_dialect_status_and_name() -> None:
    async with app_under_test() as runtime:
        await runtime.embed(input=["hello world", "a"])
        await runtime.embed(input=[])
        metrics = runtime.metrics.render().decode()
    assert 'embedding_requests_total{dialect="openai",model="words",route="/v1/embeddings",status="200"} 1.0' in metrics
    assert 'embedding_requests_total{dialect="openai",model="",route="/v1/embeddings",status="400"} 1.0' in metrics
    assert "embedding_tokens_total 3.0" in metrics
    assert "embedding_texts_total 2.0" in metrics


async def test_floats_are_written_as_the_shortest_text_that_gives_back_the_same_float32() -> None:
    async with app_under_test() as runtime:
        response = await runtime.embed(input="hello")
    values = json.loads(response.content)["data"][0]["embedding"]
    assert orjson.dumps(np.float32(values), option=orjson.OPT_SERIALIZE_NUMPY) in response.content
