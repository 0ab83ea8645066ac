"""Both sides together: the auditor asks the runtime's own private port, over the serving path of every task."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web
from manual_clock import ManualClock
from pod_client_under_test import client_served_by
from private_under_test import RIGHT, PrivateUnderTest, vector_case
from runtime_under_test import SPACE, AppUnderTest, WordTokenizer, app_under_test, resolved_model, settings, until
from served_tasks import SERVED, fake_backend

from embedding_model.goldens.cases import CaseSet, SparseCase, Term
from embedding_model.ports import GateState
from embedding_model.resolved import Serving, Task
from embedding_operator.audit.auditor import Auditor
from embedding_operator.observe.facts import AuditOrder, AuditReport, Key, PodRef
from embedding_runtime.backends.fake import FakeBackend, sparse_of
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output, SparseVector, Tokens
from embedding_runtime.gate.self_check import SelfCheck
from embedding_runtime.settings import FailurePolicy

POD = PodRef(key=Key("search", "words"), name="words-0", uid="uid-0", ip="10.0.0.1", starts=0)
MOUNTED = CaseSet(cases=(RIGHT,))
HELD = CaseSet(cases=tuple(vector_case(f"held.{n}", text=f"a text that nobody knows {n}") for n in range(10)))


@asynccontextmanager
async def auditor_of(private: PrivateUnderTest) -> AsyncIterator[Auditor]:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        answer = await private.client.request(request.method, request.path, content=await request.read())
        return web.Response(status=answer.status_code, body=answer.content)

    async with client_served_by(respond) as client:
        auditor = Auditor(client, on_change=lambda key: None, audit_seconds=60.0, clock=ManualClock())
        try:
            yield auditor
        finally:
            await auditor.close()


async def check_itself(runtime: AppUnderTest, *, cases: CaseSet) -> None:
    runtime.lifecycle.gate = GateState.PENDING
    await SelfCheck(
        runtime.app, cases=cases.cases, lifecycle=runtime.lifecycle, metrics=runtime.metrics, seconds=0
    ).run()


async def audit(auditor: Auditor, *, order: AuditOrder) -> AuditReport:
    auditor.request_audit(POD, order=order)
    await until(lambda: auditor.audit(POD) is not None)
    report = auditor.audit(POD)
    assert report is not None
    return report


def order_of(serving: Serving, *, mounted: CaseSet = MOUNTED, held: CaseSet = HELD) -> AuditOrder:
    return AuditOrder(case_set=mounted, holdout=held, serving=serving, space=SPACE)


@pytest.mark.parametrize("task", Task)
async def test_a_healthy_server_of_every_task_passes_and_opens_by_the_verdict(task: Task) -> None:
    cases = MOUNTED if task is Task.EMBEDDING else CaseSet(cases=())
    values = {key: value for key, value in SERVED[task].items() if key != "inspection"}
    serving = resolved_model(task=task, **values).serving
    async with app_under_test(fake_backend(task), task=task, **SERVED[task]) as runtime:
        runtime.lifecycle.audit_grace_seconds = 1e9
        await check_itself(runtime, cases=cases)
        assert not runtime.lifecycle.ready
        private = PrivateUnderTest(runtime, cases=cases.cases)
        async with auditor_of(private) as auditor:
            held = HELD if task is Task.EMBEDDING else CaseSet(cases=())
            report = await audit(auditor, order=order_of(serving, mounted=cases, held=held))
        assert [result for result in report.results if not result.passed] == []
        assert report.state is GateState.PASSED
        assert report.boot_id == runtime.lifecycle.boot_id
        assert runtime.lifecycle.ready


class Cheat(FakeBackend):
    """Answers rightly what its own golden case asks, and the other way round everything else."""

    def _describe(self, tokens: Tokens) -> Output:
        output = super()._describe(tokens)
        assert output.dense is not None
        is_own = len(tokens.ids) <= 4
        return output if is_own else Output(dense=output.dense * np.float32(-1))


async def test_a_server_that_only_knows_its_own_cases_never_opens() -> None:
    async with app_under_test(Cheat()) as runtime:
        runtime.lifecycle.audit_grace_seconds = 0
        await check_itself(runtime, cases=MOUNTED)
        assert runtime.lifecycle.gate is GateState.PASSED
        async with auditor_of(PrivateUnderTest(runtime, cases=MOUNTED.cases)) as auditor:
            report = await audit(auditor, order=order_of(resolved_model().serving))
        failed = [result for result in report.results if not result.passed]
        assert {result.name.partition(".")[0] for result in failed} == {"held"}
        assert not runtime.lifecycle.ready
        assert runtime.lifecycle.verdict_reason.startswith(failed[0].name)


async def test_under_warn_a_failed_audit_serves_and_says_so() -> None:
    async with app_under_test(Cheat(), serve=settings(failure_policy=FailurePolicy.WARN)) as runtime:
        await check_itself(runtime, cases=MOUNTED)
        async with auditor_of(PrivateUnderTest(runtime, cases=MOUNTED.cases)) as auditor:
            await audit(auditor, order=order_of(resolved_model().serving))
        answer = await runtime.embed(input="hello")
    assert answer.status_code == 200
    assert answer.headers["x-embedding-verified"] == "false"


async def test_a_verdict_about_other_cases_than_the_pods_is_refused_and_is_no_failed_audit() -> None:
    async with app_under_test() as runtime:
        await check_itself(runtime, cases=MOUNTED)
        before = runtime.lifecycle.verdict
        async with auditor_of(PrivateUnderTest(runtime, cases=[])) as auditor:
            auditor.request_audit(POD, order=order_of(resolved_model().serving))
            await until(lambda: bool(auditor._known(POD).failures))
            assert auditor.audit(POD) is None
        assert runtime.lifecycle.verdict is before


class WrongHead(FakeBackend):
    """Dense vectors are right; weights of tokens are those of other weights of the sparse head."""

    def _describe(self, tokens: Tokens) -> Output:
        output = super()._describe(tokens)
        if output.sparse is None:
            return output
        values = output.sparse.values * np.float32(7)
        return replace(output, sparse=SparseVector(indices=output.sparse.indices, values=values))


@pytest.mark.parametrize("backend", [FakeBackend, WrongHead])
async def test_a_sparse_case_holds_the_head_of_an_embedder_to_account_on_both_walls(backend: type[FakeBackend]) -> None:
    text = "hello world hello"
    [tokens] = WordTokenizer().encode([Text(text)])
    right = sparse_of(tokens.ids, by_table=False)
    terms = [Term(term=f"[{id_}]", weight=f"{w:.1f}") for id_, w in zip(right.indices, right.values, strict=True)]
    case = SparseCase(name="terms", input=text, terms=tuple(terms), tolerance="0.01")
    mounted = CaseSet(cases=(RIGHT, case))
    async with app_under_test(backend(), **SERVED[Task.EMBEDDING]) as runtime:
        runtime.lifecycle.audit_grace_seconds = 1e9
        await check_itself(runtime, cases=mounted)
        failed_by_itself = [result.name for result in runtime.lifecycle.results if not result.passed]
        async with auditor_of(PrivateUnderTest(runtime, cases=mounted.cases)) as auditor:
            report = await audit(auditor, order=order_of(resolved_model().serving, mounted=mounted))
        expected = [] if backend is FakeBackend else ["terms"]
        assert failed_by_itself == expected
        assert [result.name for result in report.results if not result.passed] == expected
        assert runtime.lifecycle.ready is (backend is FakeBackend)
