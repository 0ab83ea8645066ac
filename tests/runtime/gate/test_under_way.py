"""Requests that are being computed while the pod is found to be wrong, and connections that clients keep to it."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from private_under_test import RIGHT, PrivateUnderTest
from runtime_under_test import AppUnderTest, app_under_test, settings, until

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, Verdict
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.gate import answer_cases, ask_app
from embedding_runtime.settings import FailurePolicy

LONG = "many " * 200


class Turning(FakeBackend):
    """Its vectors point the other way while it is told so; a text as long as LONG waits until it may go."""

    factor = 1.0

    def __init__(self) -> None:
        super().__init__(before=self._hold)
        self.may_go = threading.Event()

    def _hold(self, batch: Sequence[Tokens]) -> None:
        if any(len(tokens.ids) == len(LONG.split()) for tokens in batch):
            assert self.may_go.wait(30)

    def _describe(self, tokens: Tokens) -> Output:
        output = super()._describe(tokens)
        assert output.dense is not None
        return Output(dense=(output.dense * self.factor).astype(np.float32))


async def check(runtime: AppUnderTest) -> GateState:
    results = await answer_cases([RIGHT], ask=ask_app(runtime.app))
    runtime.lifecycle.record_check(results, at="2031-04-05T06:07:08Z")
    return runtime.lifecycle.gate


async def judge(runtime: AppUnderTest, *, passed: bool) -> None:
    verdict = Verdict(
        boot_id=runtime.lifecycle.boot_id,
        case_set=CaseSet(cases=(RIGHT,)).name,
        passed=passed,
        reason="holdout.greek",
        epoch=runtime.lifecycle.epoch,
    )
    private = PrivateUnderTest(runtime, cases=[RIGHT])
    assert (await private.client.post(ports.VERDICT, content=verdict.to_json())).status_code == 204


@pytest.mark.parametrize("wall", [1, 2])
@pytest.mark.parametrize("policy", FailurePolicy)
async def test_what_was_under_way_at_a_failure_is_not_vouched_for_by_a_pass_after_it(
    policy: FailurePolicy, wall: int
) -> None:
    backend = Turning()
    serve = settings(failure_policy=policy)
    async with app_under_test(backend, serve=serve, workers=2, max_batch_tokens=300) as runtime:
        assert await check(runtime) is GateState.PASSED
        backend.factor = -1.0
        asked = asyncio.create_task(runtime.embed(input=["hello", LONG], encoding_format="float"))
        await until(lambda: {1, len(LONG.split())} <= {size for batch in backend.batches for size in batch})
        if wall == 1:
            assert await check(runtime) is GateState.FAILED
        else:
            await judge(runtime, passed=False)
        backend.factor = 1.0
        assert await check(runtime) is GateState.PASSED
        await judge(runtime, passed=True)
        backend.may_go.set()
        answer = await asked
        after = await runtime.embed(input="hello")
    assert (after.status_code, after.headers.get(ports.VERIFIED_HEADER)) == (200, None)
    if policy is FailurePolicy.BLOCK:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    else:
        assert (answer.status_code, answer.headers[ports.VERIFIED_HEADER]) == (200, "false")


async def test_a_shut_pod_ends_its_clients_connections_and_an_open_one_keeps_them() -> None:
    """A connection that is kept does not follow the Service: its client would come back until the pod is deleted."""
    async with app_under_test() as runtime:
        assert "connection" not in (await runtime.embed(input="hello")).headers
        runtime.lifecycle.gate = GateState.FAILED
        refused = await runtime.embed(input="hello")
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        runtime.lifecycle.gate = GateState.PASSED
        assert "connection" not in (await runtime.embed(input="hello")).headers
