"""What the operator asks on the private port, and what its verdict does."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
import numpy as np
import pytest
from manual_clock import ManualClock
from private_under_test import RIGHT, WRONG, Held, PrivateUnderTest
from runtime_under_test import SPACE, AppUnderTest, app_under_test, settings, until
from served_tasks import SERVED, fake_backend

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.compare import judge_case
from embedding_model.goldens.questions import AnswerSheet, Question, QuestionKind, QuestionSheet, list_questions
from embedding_model.ports import CaseResult, GateState, GoldensReport, Verdict
from embedding_model.resolved import Task
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.gate.self_check import SelfCheck
from embedding_runtime.lifecycle import Phase
from embedding_runtime.settings import FailurePolicy

GRACE = 10


def sheet(*questions: Question) -> bytes:
    return QuestionSheet(questions=questions).to_json()


def embed(text: str, *, prompt: str | None = None) -> Question:
    return Question(kind=QuestionKind.EMBED, text=text, prompt=prompt)


async def check(runtime: AppUnderTest, *, cases: Any) -> None:
    """What the process does after loading."""
    runtime.lifecycle.gate = GateState.PENDING
    await SelfCheck(runtime.app, cases=cases, lifecycle=runtime.lifecycle, metrics=runtime.metrics, seconds=0).run()


async def ask(private: PrivateUnderTest, body: bytes) -> AnswerSheet:
    answer = await private.client.post(ports.ANSWERS, content=body)
    assert answer.status_code == 200, answer.text
    return AnswerSheet.from_json(answer.content)


def verdict(runtime: AppUnderTest, *, passed: bool = True, **changes: Any) -> bytes:
    """On answers of this moment."""
    lifecycle = runtime.lifecycle
    values = {"boot_id": lifecycle.boot_id, "case_set": CaseSet(cases=(RIGHT,)).name, "epoch": lifecycle.epoch}
    return Verdict(passed=passed, **(values | changes)).to_json()


async def test_the_operator_gets_what_clients_get_in_the_order_of_its_questions() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT])
        questions = [embed(f"text {number}") for number in range(40)] + [embed("text 1", prompt="query")]
        found = await ask(private, sheet(*questions))
        plain = await runtime.embed(input=[question.text for question in questions[:40]], encoding_format="base64")
        prompted = await runtime.embed(input="text 1", model="words-query", encoding_format="base64")

    served = [entry["embedding"] for entry in plain.json()["data"] + prompted.json()["data"]]
    assert [answer.vector for answer in found.answers] == served
    assert (found.boot_id, found.space) == (runtime.lifecycle.boot_id, SPACE)


async def test_answers_are_what_golden_cases_are_judged_by() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        found = await ask(private, sheet(*list_questions(RIGHT), *list_questions(WRONG)))
    results = [judge_case(case, [answer]) for case, answer in zip((RIGHT, WRONG), found.answers, strict=True)]
    assert [result.passed for result in results] == [True, False]


@pytest.mark.parametrize("task", Task)
async def test_every_task_answers_questions_of_its_kind_and_says_why_not_others(task: Task) -> None:
    asked = {
        Task.EMBEDDING: embed("hello world"),
        Task.RERANKING: Question(kind=QuestionKind.RERANK, text="hello", documents=("world", "other")),
        Task.CLASSIFICATION: Question(kind=QuestionKind.CLASSIFY, text="hello world"),
        Task.SPARSE: Question(kind=QuestionKind.SPARSE, text="hello world"),
    }
    async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
        found = await ask(PrivateUnderTest(runtime, cases=[]), sheet(*asked.values()))
    answers = dict(zip(asked, found.answers, strict=True))
    own = answers[task]
    assert own.error is None
    match task:
        case Task.EMBEDDING:
            assert own.vector is not None
        case Task.RERANKING:
            assert own.scores is not None
            assert len(own.scores) == 2
        case Task.CLASSIFICATION:
            assert own.labels is not None
            assert {entry.label for entry in own.labels} == {"anger", "joy", "sadness"}
            assert sum(entry.score for entry in own.labels) == pytest.approx(1)
        case Task.SPARSE:
            assert own.terms is not None
            assert [entry.weight for entry in own.terms] == sorted((e.weight for e in own.terms), reverse=True)
    # An embedder may have sparse vectors beside its own; otherwise each task answers one kind.
    others = {other for other in Task if other is not task and (task, other) != (Task.EMBEDDING, Task.SPARSE)}
    assert all("status 4" in (answers[other].error or "") for other in others)


class Broken(FakeBackend):
    """NaN for texts of three tokens."""

    def _describe(self, tokens: Tokens) -> Output:
        if len(tokens.ids) == 3:
            return Output(dense=np.full(self.dimensions, np.nan, dtype=np.float32))
        return super()._describe(tokens)


async def test_what_cannot_be_computed_is_an_error_of_its_own_answer_alone() -> None:
    async with app_under_test(Broken()) as runtime:
        questions = [embed("one"), embed("three tokens here"), embed(""), embed("x", prompt="three tokens")]
        found = await ask(PrivateUnderTest(runtime, cases=[]), sheet(*questions))
    errors = [answer.error for answer in found.answers]
    assert errors[0] is None
    assert "NaN or infinity" in str(errors[1])
    assert "status 400" in str(errors[2])
    assert errors[3] == "the case names a prompt that the model does not have"
    assert "three tokens" not in str(errors)


async def test_a_pod_that_is_shut_answers_the_operator_and_nobody_else() -> None:
    async with app_under_test() as runtime:
        await check(runtime, cases=[WRONG])
        found = await ask(PrivateUnderTest(runtime, cases=[WRONG]), sheet(embed("hello")))
        assert (await runtime.embed(input="hello")).status_code == 503
    assert found.answers[0].vector is not None


async def test_while_it_loads_it_says_so() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT])
        runtime.lifecycle.phase = Phase.LOADING
        runtime.app._loaded = None
        answers = await private.client.post(ports.ANSWERS, content=sheet(embed("hello")))
        judged = await private.client.post(ports.VERDICT, content=verdict(runtime))
    assert (answers.status_code, judged.status_code) == (503, 503)
    assert answers.json() == {"error": {"message": "the model is being loaded"}}


@pytest.mark.parametrize("body", [b"{", b'{"questions": [{"kind": "Sing", "text": "secret"}]}', b"\xff", b"[]"])
async def test_a_malformed_sheet_or_verdict_is_refused_without_its_text(body: bytes) -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        for path in (ports.ANSWERS, ports.VERDICT):
            answer = await private.client.post(path, content=body)
            assert answer.status_code == 400
            assert "malformed" in answer.json()["error"]["message"]
            assert "secret" not in answer.text


async def test_a_sheet_has_so_many_questions_and_bytes() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[])
        many = await private.client.post(ports.ANSWERS, content=sheet(*[embed("x")] * (ports.MAX_QUESTIONS + 1)))
        large = await private.client.post(ports.ANSWERS, content=b" " * (ports.MAX_QUESTION_BYTES + 1))
    assert (many.status_code, large.status_code) == (413, 413)
    assert str(ports.MAX_QUESTIONS) in many.text


async def test_a_sheet_that_breaks_off_is_no_failure_of_the_pod() -> None:
    async with app_under_test() as runtime:
        messages = [{"type": "http.request", "body": b'{"questions"', "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0)

        statuses = []

        async def send(message: MutableMapping[str, Any]) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": ports.ANSWERS, "headers": [], "query_string": b""}
        await PrivateUnderTest(runtime, cases=[]).port.asgi(scope, receive, send)
    assert statuses[0] == 400


async def test_an_audit_that_the_operator_gave_up_costs_no_compute() -> None:
    held = Held()
    backend = FakeBackend(before=held)
    async with app_under_test(backend) as runtime:
        held.shut.set()
        engine = runtime.app.loaded.engine
        computing = asyncio.create_task(runtime.embed(input="first"))
        await until(lambda: len(backend.batches) == 1)
        await PrivateUnderTest(runtime, cases=[]).post_and_give_up(
            ports.ANSWERS, content=sheet(embed("two words")), once=lambda: engine.queue.tokens == 2
        )
        assert engine.queue.tokens == 0
        held.go.set()
        await computing
    assert backend.batches == [[1]]


async def test_an_audit_of_a_pod_with_a_full_queue_is_answered() -> None:
    held = Held()
    async with app_under_test(FakeBackend(before=held), serve=settings(max_queue_tokens=20)) as runtime:
        held.shut.set()
        engine = runtime.app.loaded.engine
        waiting = asyncio.create_task(runtime.embed(input=["a b c d e f " * 4, "one"]))
        await until(lambda: engine.admission.tokens == 25)
        assert (await runtime.embed(input="too many")).status_code == 429
        audit = asyncio.create_task(ask(PrivateUnderTest(runtime, cases=[]), sheet(embed("two words"))))
        await until(lambda: engine.admission.tokens == 27)
        held.go.set()
        assert (await audit).answers[0].error is None
        assert (await waiting).status_code == 200


class Waiting:
    """A pod that passed its own checks and waits for the operator, with a clock of the test's."""

    def __init__(self, runtime: AppUnderTest) -> None:
        self.clock = ManualClock()
        self.runtime = runtime
        runtime.lifecycle.clock = self.clock.monotonic
        self.private = PrivateUnderTest(runtime, cases=[RIGHT])

    async def ready(self) -> httpx.Response:
        return await self.private.client.get(ports.READY)

    async def judge(self, **changes: Any) -> int:
        answer = await self.private.client.post(ports.VERDICT, content=verdict(self.runtime, **changes))
        return answer.status_code


async def test_it_opens_with_the_operators_good_verdict() -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        before, refused = await pod.ready(), await runtime.embed(input="hello")
        assert await pod.judge() == 204
        after, answered = await pod.ready(), await runtime.embed(input="hello")
        report = GoldensReport.from_json((await pod.private.client.get(ports.GOLDENS)).content)
    assert before.json()["detail"] == "waits for the operator's verdict, opens alone in 10 s"
    assert (before.status_code, refused.status_code) == (503, 503)
    assert (after.status_code, answered.status_code) == (200, 200)
    assert (report.state, report.verdict) == (GateState.PASSED, GateState.PASSED)
    assert report.checked_at is not None
    assert report.checked_at.endswith("Z")


async def test_it_opens_alone_where_the_operator_never_asks() -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        await pod.clock.advance(GRACE)
        assert (await pod.ready()).status_code == 200
        assert (await runtime.embed(input="hello")).status_code == 200


async def test_while_the_operator_asks_it_waits_for_the_verdict() -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        await pod.clock.advance(GRACE - 1)
        await ask(pod.private, sheet(embed("hello")))
        await pod.clock.advance(GRACE - 1)
        assert (await pod.ready()).status_code == 503
        await pod.clock.advance(1)
        assert (await pod.ready()).status_code == 200


async def test_it_waits_as_long_as_the_operator_says_that_it_is_there() -> None:
    """By sheets without questions, while other pods are audited first."""
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        for _ in range(5):
            await pod.clock.advance(GRACE - 1)
            found = await ask(pod.private, sheet())
            assert (found.boot_id, found.answers) == (runtime.lifecycle.boot_id, ())
        await pod.clock.advance(GRACE - 1)
        assert (await pod.ready()).status_code == 503
        await pod.clock.advance(1)
        assert (await pod.ready()).status_code == 200


async def test_a_look_at_what_it_found_of_itself_does_not_keep_it_shut() -> None:
    """The operator takes it also where it cannot audit."""
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        await pod.clock.advance(GRACE - 1)
        await pod.private.client.get(ports.GOLDENS)
        await pod.clock.advance(1)
        assert (await pod.ready()).status_code == 200


async def test_it_does_not_open_while_the_operators_questions_take_long_to_answer() -> None:
    held = Held()
    async with app_under_test(FakeBackend(before=held), serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        held.shut.set()
        asked = asyncio.create_task(ask(pod.private, sheet(embed("hello"))))
        await until(lambda: runtime.app.loaded.engine.admission.tokens > 0)
        await pod.clock.advance(GRACE * 3)
        waiting = await pod.ready()
        held.go.set()
        await asked
        await pod.clock.advance(GRACE - 1)
        still = await pod.ready()
        await pod.clock.advance(1)
        alone = await pod.ready()
    assert (waiting.status_code, still.status_code, alone.status_code) == (503, 503, 200)
    assert waiting.json()["detail"] == "the operator's questions are being answered"


async def test_a_bad_verdict_shuts_it_and_names_its_reason_until_a_good_one_comes() -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        await pod.judge()
        assert await pod.judge(passed=False, reason="holdout.greek: cosine 0.2 is below 0.999") == 204
        shut, refused = await pod.ready(), await runtime.embed(input="hello")
        await pod.judge()
        assert (await pod.ready()).status_code == 200
    assert (shut.status_code, refused.status_code) == (503, 503)
    assert shut.json()["detail"] == "the operator's audit failed: holdout.greek: cosine 0.2 is below 0.999"


FAILED = CaseResult(name="weather", kind="vector", passed=False, detail="cosine similarity 0.1 is below 0.999")


def check_fails(runtime: AppUnderTest) -> None:
    runtime.lifecycle.record_check((FAILED,), at="2031-04-05T06:07:08Z")


def check_passes(runtime: AppUnderTest) -> None:
    runtime.lifecycle.record_check((), at="2031-04-05T06:07:09Z")


@pytest.mark.parametrize("fails", ["its own check", "the check of another leader"])
async def test_a_good_verdict_on_answers_from_before_a_failure_is_refused(fails: str) -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        asked = await ask(pod.private, sheet(embed("hello")))
        if fails == "its own check":
            check_fails(runtime)
            between = await ask(pod.private, sheet(embed("hello")))
            check_passes(runtime)
        else:
            await pod.judge(passed=False, reason="holdout.greek")
            between = asked
        late = [await pod.judge(epoch=found.epoch) for found in (asked, between)]
        refused = (await pod.ready()).status_code
        again = await ask(pod.private, sheet(embed("hello")))
        assert await pod.judge(epoch=again.epoch) == 204
        assert (await pod.ready()).status_code == 200
    assert asked.epoch is None
    assert late == [409, 409]
    assert refused == 503


async def test_answers_during_which_the_pod_fails_are_of_the_epoch_before() -> None:
    held = Held()
    async with app_under_test(FakeBackend(before=held), serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        held.shut.set()
        asked = asyncio.create_task(ask(pod.private, sheet(embed("hello"))))
        await until(lambda: runtime.app.loaded.engine.admission.tokens > 0)
        check_fails(runtime)
        held.go.set()
        assert (await asked).epoch is None
        assert (await ask(pod.private, sheet(embed("hello")))).epoch == 1


async def test_under_warn_a_bad_verdict_is_told_on_every_response() -> None:
    serve = settings(audit_grace_seconds=GRACE, failure_policy=FailurePolicy.WARN)
    async with app_under_test(serve=serve) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        await pod.judge(passed=False, reason="holdout.greek")
        ready, unverified = await pod.ready(), await runtime.embed(input="hello")
        await pod.judge()
        verified = await runtime.embed(input="hello")
    assert (ready.status_code, unverified.status_code) == (200, 200)
    assert unverified.headers["x-embedding-verified"] == "false"
    assert "x-embedding-verified" not in verified.headers


@pytest.mark.parametrize("changes", [{"boot_id": "an earlier process"}, {"case_set": "cs-0123456789"}])
@pytest.mark.parametrize("passed", [True, False])
async def test_a_verdict_on_another_process_or_another_case_set_is_refused(
    changes: dict[str, str], passed: bool
) -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        await check(runtime, cases=[RIGHT])
        assert await pod.judge(passed=passed, **changes) == 409
        assert runtime.lifecycle.verdict is GateState.PENDING
        await pod.clock.advance(GRACE)
        assert (await pod.ready()).status_code == 200


async def test_a_verdict_that_comes_before_its_own_checks_are_done_is_kept() -> None:
    async with app_under_test(serve=settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Waiting(runtime)
        runtime.lifecycle.gate = GateState.PENDING
        await pod.judge()
        assert (await pod.ready()).status_code == 503
        await check(runtime, cases=[RIGHT])
        assert (await pod.ready()).status_code == 200


async def test_a_server_that_cannot_answer_just_now_gives_no_answers_that_could_be_judged() -> None:
    async with app_under_test() as runtime:
        private = PrivateUnderTest(runtime, cases=[RIGHT])
        runtime.app.loaded.engine.give_up("The server shuts down.")
        asked = await private.client.post(ports.ANSWERS, content=sheet(*(embed(f"text {n}") for n in range(40))))
        tried = await private.client.post(ports.GOLDENS, content=CaseSet(cases=(RIGHT,)).to_jsonl())
    for answer in (asked, tried):
        assert answer.status_code == 503
        assert answer.json()["error"]["message"].endswith("status 503: The server shuts down.")
