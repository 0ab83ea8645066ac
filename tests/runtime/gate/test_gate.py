"""Golden cases decide whether a pod takes traffic."""

import asyncio
import json

import httpx
import pytest
from private_under_test import RIGHT, WRONG, Held, PrivateUnderTest, similarity_case, vector_case
from runtime_under_test import (
    REVISION,
    SPACE,
    AppUnderTest,
    app_under_test,
    settings,
    until,
)

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet, GoldenCase, SimilarityCase
from embedding_model.ports import GateState, GoldensReport, RetireOrder
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.gate import answer_cases, ask_app, parse_case_set, read_case_set
from embedding_runtime.http.app import App
from embedding_runtime.http.auth.operator_token import TokenCheck
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.settings import FailurePolicy


async def pass_gate(runtime: AppUnderTest, *cases: GoldenCase) -> None:
    """What the process does after loading."""
    runtime.lifecycle.gate = GateState.PENDING
    results = await answer_cases(cases, ask=ask_app(runtime.app))
    runtime.lifecycle.record_check(results, at="2031-04-05T06:07:08Z")


async def test_right_vectors_open_the_pod() -> None:
    async with app_under_test() as runtime:
        await pass_gate(runtime, RIGHT, similarity_case("same", expected="1"))
        assert [result.passed for result in runtime.lifecycle.results] == [True, True]
        assert await PrivateUnderTest(runtime, cases=[RIGHT]).status(ports.READY) == 200
        assert (await runtime.embed(input="hello")).status_code == 200


async def test_a_pod_with_wrong_vectors_never_becomes_ready_and_answers_nobody() -> None:
    async with app_under_test() as runtime:
        await pass_gate(runtime, RIGHT, WRONG)
        private = PrivateUnderTest(runtime, cases=[RIGHT, WRONG])
        ready = await private.client.get(ports.READY)
        answer = await runtime.embed(input="hello")
        assert await private.status(ports.STARTUP) == 200
        assert await private.status(ports.LIVE) == 200

    assert ready.status_code == 503
    assert "1 of 2 golden cases failed: wrong:" in ready.json()["detail"]
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "secret" not in ready.text + answer.text


async def test_under_warn_a_failing_pod_serves_and_says_so_on_every_response() -> None:
    async with app_under_test(serve=settings(failure_policy=FailurePolicy.WARN)) as runtime:
        await pass_gate(runtime, WRONG)
        assert await PrivateUnderTest(runtime, cases=[WRONG]).status(ports.READY) == 200
        responses = [await runtime.embed(input="hello"), await runtime.embed(input=[])]

    assert [response.status_code for response in responses] == [200, 400]
    assert [response.headers["x-embedding-verified"] for response in responses] == ["false", "false"]


async def test_nothing_is_answered_before_the_golden_cases_are() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT])
        runtime.lifecycle.gate = GateState.PENDING
        assert await private.status(ports.STARTUP) == 200
        assert await private.status(ports.READY) == 503
        assert (await runtime.embed(input="hello")).status_code == 503
        assert (await runtime.embed(input="hello")).headers["x-embedding-space"] == SPACE
        runtime.lifecycle.phase = Phase.LOADING
        assert await private.status(ports.STARTUP) == 503
        assert await private.status(ports.LIVE) == 200


async def test_space_and_revision_are_named_while_the_model_is_still_being_loaded() -> None:
    lifecycle = Lifecycle(failure_policy=FailurePolicy.BLOCK)
    app = App(lifecycle=lifecycle, metrics=Metrics(), max_body_bytes=1000, max_buffered_bytes=1000)
    app.identity = SPACE, REVISION
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://runtime") as client:
        response = await client.post("/v1/embeddings", json={"model": "words", "input": "hello"})
    assert response.status_code == 503
    assert (response.headers["x-embedding-space"], response.headers["x-model-revision"]) == (SPACE, REVISION)


async def test_a_case_is_answered_under_the_prompt_that_it_names() -> None:
    async with app_under_test() as runtime:
        results = await answer_cases(
            [vector_case("query", text="hello", prompt="query"), vector_case("plain", text="hello")],
            ask=ask_app(runtime.app),
        )
    assert [result.passed for result in results] == [True, True]


async def test_a_case_without_a_prompt_gets_the_models_default_and_not_that_of_a_served_name() -> None:
    case = vector_case("default", text="document: hello")
    case = case.model_copy(update={"input": "hello"})
    serve = settings(served_names=("words-query=query",))
    async with app_under_test(serve=serve, default_prompt="document") as runtime:
        [result] = await answer_cases([case], ask=ask_app(runtime.app))
    assert result.passed, result.detail


async def test_a_case_with_an_unknown_prompt_fails_with_that_reason() -> None:
    async with app_under_test() as runtime:
        [result] = await answer_cases([vector_case("odd", text="hello", prompt="SECRET")], ask=ask_app(runtime.app))
    assert not result.passed
    assert "a prompt that the model does not have" in result.detail
    assert "SECRET" not in result.detail


async def test_a_case_that_cannot_be_answered_has_failed() -> None:
    async with app_under_test() as runtime:
        case = vector_case("empty", text="hello").model_copy(update={"input": ""})
        [result] = await answer_cases([case], ask=ask_app(runtime.app))
    assert not result.passed
    assert "status 400" in result.detail


async def test_golden_cases_go_through_the_same_batches_as_requests() -> None:
    backend = FakeBackend()
    async with app_under_test(backend) as runtime:
        cases = [vector_case(f"case {index}", text=f"text {index}") for index in range(12)]
        results = await answer_cases(cases, ask=ask_app(runtime.app))
    assert all(result.passed for result in results)
    assert sum(len(batch) for batch in backend.batches) == 12


async def test_the_report_names_the_set_the_boot_and_each_case() -> None:
    async with app_under_test() as runtime:
        await pass_gate(runtime, RIGHT, WRONG)
        private = PrivateUnderTest(runtime, cases=[RIGHT, WRONG])
        report = GoldensReport.from_json((await private.client.get(ports.GOLDENS)).content)

    assert report.case_set == CaseSet(cases=(RIGHT, WRONG)).name
    assert report.boot_id == runtime.lifecycle.boot_id
    assert (report.state, report.verdict) == (GateState.FAILED, GateState.PENDING)
    assert report.checked_at == "2031-04-05T06:07:08Z"
    assert [(result.name, result.passed) for result in report.results] == [("right", True), ("wrong", False)]
    assert report.results[1].threshold == "0.999"


async def test_a_trial_answers_another_set_without_effect_on_readiness() -> None:
    async with app_under_test() as runtime:
        await pass_gate(runtime, RIGHT)
        private = PrivateUnderTest(runtime, cases=[RIGHT])
        trial = CaseSet(cases=(WRONG,))
        report = GoldensReport.from_json((await private.client.post(ports.GOLDENS, content=trial.to_jsonl())).content)
        assert await private.status(ports.READY) == 200
        mounted = GoldensReport.from_json((await private.client.get(ports.GOLDENS)).content)

    assert (report.case_set, report.state) == (trial.name, GateState.FAILED)
    assert (mounted.case_set, mounted.state) == (CaseSet(cases=(RIGHT,)).name, GateState.PASSED)


async def test_a_trial_on_a_pod_with_a_full_queue_is_answered_first_and_rightly() -> None:
    held = Held()
    backend = FakeBackend(before=held)
    serve = settings(max_queue_tokens=20, request_timeout_seconds=30)
    async with app_under_test(backend, serve=serve) as runtime:
        held.shut.set()
        engine = runtime.app.loaded.engine
        computing = asyncio.create_task(runtime.embed(input="first"))
        await until(lambda: len(backend.batches) == 1)
        waiting = asyncio.create_task(runtime.embed(input="a b c d e f " * 4))
        await until(lambda: engine.queue.tokens == 24)
        assert (await runtime.embed(input="too many")).status_code == 429
        trial = PrivateUnderTest(runtime, cases=[]).client.post(
            ports.GOLDENS, content=CaseSet(cases=(RIGHT,)).to_jsonl()
        )
        asked = asyncio.create_task(trial)
        await until(lambda: engine.queue.tokens == 26)
        held.go.set()
        report = GoldensReport.from_json((await asked).content)
        assert [(await answer).status_code for answer in (computing, waiting)] == [200, 200]
    assert report.state is GateState.PASSED
    assert backend.batches[:2] == [[1], [2]]


async def test_a_golden_case_has_no_deadline() -> None:
    held = Held()
    async with app_under_test(FakeBackend(before=held), serve=settings(request_timeout_seconds=0.01)) as runtime:
        held.shut.set()
        asked = asyncio.create_task(answer_cases([RIGHT], ask=ask_app(runtime.app)))
        assert (await runtime.embed(input="late")).status_code == 503
        held.go.set()
        [result] = await asked
    assert result.passed, result.detail


async def test_a_trial_that_the_operator_gave_up_costs_no_compute() -> None:
    held = Held()
    backend = FakeBackend(before=held)
    async with app_under_test(backend) as runtime:
        held.shut.set()
        engine = runtime.app.loaded.engine
        computing = asyncio.create_task(runtime.embed(input="first"))
        await until(lambda: len(backend.batches) == 1)
        await PrivateUnderTest(runtime, cases=[]).post_and_give_up(
            ports.GOLDENS, content=CaseSet(cases=(RIGHT,)).to_jsonl(), once=lambda: engine.queue.tokens == 2
        )
        assert engine.queue.tokens == 0
        held.go.set()
        await computing
    assert backend.batches == [[1]]


async def test_a_corrected_set_passes_its_trial_on_a_pod_that_never_became_ready() -> None:
    async with app_under_test() as runtime:
        await pass_gate(runtime, WRONG)
        private = PrivateUnderTest(runtime, cases=[WRONG])
        answer = await private.client.post(ports.GOLDENS, content=CaseSet(cases=(RIGHT,)).to_jsonl())
        assert GoldensReport.from_json(answer.content).state is GateState.PASSED
        assert await private.status(ports.READY) == 503


@pytest.mark.parametrize("body", [b"{", b'{"kind": "vector", "name": "x"}', b"\xff", b'{"kind": "song"}'])
async def test_a_malformed_trial_is_refused_with_a_reason(body: bytes) -> None:
    async with app_under_test() as runtime:
        answer = await PrivateUnderTest(runtime, cases=[]).client.post(ports.GOLDENS, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == Reason.INVALID_GOLDEN


async def test_retire_closes_every_connection_after_its_response() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        before = await runtime.embed(input="hello")
        order = RetireOrder(boot_id=runtime.lifecycle.boot_id, retired=True)
        retired = await private.client.post(ports.RETIRE, content=order.to_json())
        after = await runtime.embed(input="hello")
        report = GoldensReport.from_json((await private.client.get(ports.GOLDENS)).content)
        assert await private.status(ports.READY) == 200

    assert (retired.status_code, report.retired) == (204, True)
    assert "connection" not in before.headers
    assert (after.status_code, after.headers["connection"]) == (200, "close")


async def test_retirement_is_taken_back_and_then_reported_no_more() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        for retired in (True, False):
            order = RetireOrder(boot_id=runtime.lifecycle.boot_id, retired=retired)
            assert (await private.client.post(ports.RETIRE, content=order.to_json())).status_code == 204
        answer = await runtime.embed(input="hello")
        report = await private.client.get(ports.GOLDENS)
    assert "connection" not in answer.headers
    assert b"retired" not in report.content


@pytest.mark.parametrize(("body", "status"), [(b'{"bootId": "another", "retired": true}', 409), (b"", 400)])
async def test_an_order_to_retire_for_another_process_or_for_none_is_refused(body: bytes, status: int) -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        assert (await private.client.post(ports.RETIRE, content=body)).status_code == status
        assert not runtime.lifecycle.retired


async def test_a_pod_whose_workers_cannot_go_on_is_neither_live_nor_ready() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        assert await private.status(ports.LIVE) == 200
        private.trouble = "1 of 1 workers hang"
        live, ready = await private.client.get(ports.LIVE), await private.client.get(ports.READY)
    assert (live.status_code, ready.status_code) == (503, 503)
    assert live.json()["detail"] == ready.json()["detail"] == "1 of 1 workers hang"


async def test_probes_and_metrics_are_open_and_everything_else_needs_the_token() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT], token_check=TokenCheck(None))
        open_paths = [await private.status(path) for path in (ports.STARTUP, ports.READY, ports.LIVE, ports.METRICS)]
        guarded = [
            (await private.client.get(ports.GOLDENS)).status_code,
            (await private.client.post(ports.GOLDENS, content=b"")).status_code,
            (await private.client.post(ports.ANSWERS, content=b"")).status_code,
            (await private.client.post(ports.VERDICT, content=b"")).status_code,
            (await private.client.post(ports.RETIRE)).status_code,
        ]
        assert not runtime.lifecycle.retired
    assert open_paths == [200, 200, 200, 200]
    assert guarded == [403] * 5


def test_a_missing_file_of_golden_cases_is_refused_rather_than_served_unchecked(tmp_path) -> None:
    with pytest.raises(Refusal) as refused:
        read_case_set(tmp_path / "goldens.jsonl")
    assert refused.value.reason is Reason.MISSING_FILE


def test_a_malformed_set_is_refused_without_the_users_text() -> None:
    with pytest.raises(Refusal) as refused:
        parse_case_set(b'{"kind": "vector", "name": "a", "input": "secret", "vector": 3}')
    assert refused.value.reason is Reason.INVALID_GOLDEN
    assert "secret" not in refused.value.message


def test_golden_cases_are_read_in_the_documented_form() -> None:
    similarity = {"a": "cat", "b": "dog", "expected": "0.5", "tolerance": "0.1"}
    [case] = parse_case_set(json.dumps({"name": "pets", "similarity": similarity}).encode()).cases
    assert case == SimilarityCase(name="pets", **similarity)
