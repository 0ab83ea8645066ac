"""A pod checks itself again while it serves, and closes when its answers are no longer right."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
from manual_clock import ManualClock
from private_under_test import RIGHT, Held, PrivateUnderTest
from prometheus_client.parser import text_string_to_metric_families
from runtime_under_test import AppUnderTest, app_under_test, settings, until

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, Verdict
from embedding_runtime.backends.fake import FakeBackend
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.gate.self_check import SelfCheck
from embedding_runtime.settings import FailurePolicy, ServeSettings

SECONDS, GRACE = 60.0, 10.0


class Turning(FakeBackend):
    """Its vectors point the other way, or are NaN, while it is told so."""

    factor = 1.0

    failures = 0  # batches that are lost before the next one is computed

    def _describe(self, tokens: Tokens) -> Output:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the worker is being replaced")
        output = super()._describe(tokens)
        assert output.dense is not None
        return Output(dense=(output.dense * self.factor).astype(np.float32))


class Timed(ManualClock):
    """A clock that moves by `took` between the beginning and the end of a check, and remembers how long it slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.took = 0.0
        self._asked = 0

    def monotonic(self) -> float:
        self._asked += 1
        return super().monotonic() + (self.took if self._asked % 2 == 0 else 0.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await super().sleep(seconds)


class Pod:
    """A pod that has opened, and checks itself by a clock of the test's."""

    def __init__(self, runtime: AppUnderTest, *, backend: Turning) -> None:
        self.runtime, self.backend, self.clock = runtime, backend, ManualClock()
        self.lifecycle = runtime.lifecycle
        self.lifecycle.clock = self.clock.monotonic
        self.lifecycle.gate = GateState.PENDING
        self.private = PrivateUnderTest(runtime, cases=[RIGHT])
        self.self_check = SelfCheck(
            runtime.app,
            cases=[RIGHT],
            lifecycle=runtime.lifecycle,
            metrics=runtime.metrics,
            seconds=SECONDS,
            clock=self.clock,
            jitter=lambda: 0.0,
        )

    async def next_check(self) -> None:
        """Moves to the next run and waits until it is done."""
        runs = self.count_runs()
        await self.clock.advance(SECONDS)
        await until(lambda: self.count_runs() > runs)

    def count_runs(self) -> float:
        results = ("passed", "failed", "unasked")
        return sum(self.sample("embedding_self_checks_total", result=result) for result in results)

    def sample(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.runtime.metrics.render().decode())
        found = (sample for family in families for sample in family.samples)
        return next((s.value for s in found if s.name == name and s.labels == labels), 0.0)

    async def ready(self) -> int:
        return await self.private.status(ports.READY)

    async def give_verdict(self) -> None:
        lifecycle, case_set = self.lifecycle, CaseSet(cases=(RIGHT,)).name
        verdict = Verdict(boot_id=lifecycle.boot_id, case_set=case_set, passed=True, epoch=lifecycle.epoch)
        assert (await self.private.client.post(ports.VERDICT, content=verdict.to_json())).status_code == 204


@contextlib.asynccontextmanager
async def serving(serve: ServeSettings | None = None) -> AsyncIterator[Pod]:
    backend = Turning()
    async with app_under_test(backend, serve=serve or settings(audit_grace_seconds=GRACE)) as runtime:
        pod = Pod(runtime, backend=backend)
        await pod.self_check.run()
        await pod.give_verdict()
        repeating = asyncio.create_task(pod.self_check.repeat())
        try:
            yield pod
        finally:
            repeating.cancel()
            await asyncio.gather(repeating, return_exceptions=True)


async def test_a_pod_whose_vectors_change_while_it_serves_closes_at_its_next_check() -> None:
    async with serving() as pod:
        assert await pod.ready() == 200
        pod.backend.factor = -1.0
        assert (await pod.runtime.embed(input="hello")).status_code == 200, "nobody knows yet"
        await pod.next_check()
        ready = await pod.private.client.get(ports.READY)
        refused = await pod.runtime.embed(input="hello")
        assert await pod.private.status(ports.LIVE) == 200
    assert ready.status_code == 503
    assert "1 of 1 golden cases failed: right: cosine similarity -1.000000" in ready.json()["detail"]
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "service_unavailable_error")
    assert refused.headers["retry-after"] == "2"


async def test_nan_that_appears_while_serving_is_an_error_at_once_and_closes_the_pod() -> None:
    async with serving() as pod:
        pod.backend.factor = float("nan")
        assert (await pod.runtime.embed(input="hello")).status_code == 500
        await pod.next_check()
        assert await pod.ready() == 503
        failed = {result.name for result in pod.lifecycle.results if not result.passed}
    assert failed == {"right", "check.finite"}


async def test_one_that_passes_again_waits_for_a_new_verdict_or_the_grace_period() -> None:
    async with serving() as pod:
        pod.backend.factor = -1.0
        await pod.next_check()
        pod.backend.factor = 1.0
        await pod.next_check()
        assert await pod.ready() == 503
        await pod.give_verdict()
        assert await pod.ready() == 200
        pod.backend.factor = -1.0
        await pod.next_check()
        pod.backend.factor = 1.0
        await pod.next_check()
        assert await pod.ready() == 503
        await pod.clock.advance(GRACE)
        assert await pod.ready() == 200


async def test_under_warn_it_goes_on_serving_and_says_so_until_it_passes_again() -> None:
    async with serving(settings(audit_grace_seconds=GRACE, failure_policy=FailurePolicy.WARN)) as pod:
        pod.backend.factor = -1.0
        await pod.next_check()
        assert await pod.ready() == 200
        unverified = await pod.runtime.embed(input="hello")
        pod.backend.factor = 1.0
        await pod.next_check()
        verified = await pod.runtime.embed(input="hello")
    assert (unverified.status_code, unverified.headers["x-embedding-verified"]) == (200, "false")
    assert (verified.status_code, verified.headers.get("x-embedding-verified")) == (200, None)


async def test_metrics_count_the_runs_and_tell_the_last_result() -> None:
    async with serving() as pod:
        assert pod.sample("embedding_self_check_passed") == 1
        pod.backend.factor = -1.0
        await pod.next_check()
        assert pod.sample("embedding_self_check_passed") == 0
        assert pod.sample("embedding_golden_case_passed", case="right", kind="vector") == 0
        assert pod.sample("embedding_golden_case_passed", case="check.norm", kind="check") == 1
        counts = [pod.sample("embedding_self_checks_total", result=result) for result in ("passed", "failed")]
        assert counts == [1, 1]
        assert pod.sample("embedding_self_check_duration_seconds_count") == 2


async def test_a_change_is_logged_once_and_without_texts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with serving() as pod:
            for factor in (1.0, -1.0, -1.0, 1.0):
                pod.backend.factor = factor
                await pod.next_check()
    said = [record.getMessage() for record in caplog.records if record.name.endswith("self_check")]
    assert said == [
        "waits for the operator's verdict, opens alone in 10 s: 1 golden cases and 6 built-in checks passed",
        "not serving: 1 of 1 golden cases failed: right: cosine similarity -1.000000 is below 0.999",
        "waits for the operator's verdict, opens alone in 10 s: 1 golden cases and 6 built-in checks passed",
    ]


async def test_what_was_computed_while_the_pod_was_found_wrong_is_not_given_out() -> None:
    held = Held()
    backend = Turning(before=held)
    async with app_under_test(backend) as runtime:
        held.shut.set()
        asked = asyncio.create_task(runtime.embed(input="hello"))
        await until(lambda: len(backend.batches) == 1)
        runtime.lifecycle.gate = GateState.FAILED
        held.go.set()
        assert (await asked).status_code == 503
        runtime.lifecycle.gate = GateState.PASSED
        assert (await runtime.embed(input="hello")).status_code == 200


async def rests(
    took: float,
    *,
    seconds: float = SECONDS,
    jitter: float = 0.0,
    factor: float = 1.0,
    policy: FailurePolicy = FailurePolicy.BLOCK,
    gives_up: bool = False,
) -> Sequence[float]:
    """How long it sleeps after a first run that took so long, and after a second. `factor` is by how much answers are
    off, and a server that `gives_up` answers nothing any more in the second."""
    backend = Turning()
    async with app_under_test(backend, serve=settings(failure_policy=policy)) as runtime:
        backend.factor = factor
        clock = Timed()
        clock.took = took
        check = SelfCheck(
            runtime.app,
            cases=[RIGHT],
            lifecycle=runtime.lifecycle,
            metrics=runtime.metrics,
            seconds=seconds,
            clock=clock,
            jitter=lambda: jitter,
        )
        await check.run()
        repeating = asyncio.create_task(check.repeat())
        await until(lambda: len(clock.slept) == 1 or repeating.done())
        if gives_up:
            runtime.app.loaded.engine.give_up("The server shuts down.")
        if not repeating.done():
            await clock.advance(clock.slept[0])
            await until(lambda: len(clock.slept) == 2)
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)
        return clock.slept


async def test_runs_are_a_little_apart_from_pod_to_pod_and_take_one_per_cent_of_the_time_at_most() -> None:
    assert await rests(0.1) == [60, 60]
    assert await rests(0.1, jitter=0.5) == [54, 54]
    assert await rests(3.0) == pytest.approx([60, 300]), "the first run was of a pod that was cold"
    assert await rests(0.1, seconds=0) == [], "0 turns it off"


async def test_a_run_that_fails_or_cannot_ask_is_paid_for_as_one_that_passes() -> None:
    assert await rests(20.0, factor=-1.0, policy=FailurePolicy.WARN) == pytest.approx([60, 2000])
    assert await rests(20.0, gives_up=True) == pytest.approx([60, 2000])


async def test_a_pod_that_has_shut_itself_tries_again_soon_however_long_that_takes() -> None:
    assert await rests(20.0, factor=-1.0) == pytest.approx([60, 200])


async def test_a_check_that_cannot_be_run_counts_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as pod:
        loaded = pod.runtime.app.loaded

        pod.runtime.app._loaded = Broken()  # type: ignore[assignment]
        await pod.next_check()
        assert loaded is not None
        pod.runtime.app._loaded = loaded
        assert await pod.ready() == 503
        detail = pod.lifecycle.explain()
        await pod.next_check()
        assert pod.lifecycle.gate is GateState.PASSED
    assert detail.endswith("check.run: the pod could not check itself (RuntimeError); its log has the details")
    assert "could not check itself" in caplog.text


async def test_a_pod_that_cannot_be_asked_while_it_serves_stays_what_it_was(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as pod:
        results, at = pod.lifecycle.results, pod.lifecycle.checked_at
        pod.runtime.app.loaded.engine.give_up("The server shuts down.")
        await pod.next_check()
        assert await pod.ready() == 200
        assert pod.sample("embedding_self_checks_total", result="unasked") == 1
        assert pod.sample("embedding_self_check_passed") == 1
        assert (pod.lifecycle.results, pod.lifecycle.checked_at) == (results, at)
    assert "stays what it was: answered with status 503: The server shuts down." in caplog.text


async def test_one_answer_that_is_lost_once_closes_no_pod() -> None:
    async with serving() as pod:
        pod.backend.failures = 1
        await pod.next_check()
        assert (pod.lifecycle.gate, pod.backend.failures) == (GateState.PASSED, 0)


async def test_an_answer_that_stays_lost_is_a_failed_case() -> None:
    async with serving() as pod:
        pod.backend.failures = 1000
        await pod.next_check()
        failed = {result.name for result in pod.lifecycle.results if not result.passed}
    assert failed == {"right", "check.finite"}


class Broken:
    """Stands for a loaded model, and has nothing of what one has."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"there is no {name}")


@pytest.mark.parametrize("seconds", [SECONDS, 0.0])
@pytest.mark.parametrize("policy", FailurePolicy)
async def test_a_first_check_that_cannot_be_run_is_a_failed_one_and_tried_again_until_it_can(
    seconds: float, policy: FailurePolicy, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where later runs are turned off: the pod waits for this one."""
    async with app_under_test(Turning(), serve=settings(failure_policy=policy)) as runtime:
        lifecycle, loaded, clock = runtime.lifecycle, runtime.app.loaded, ManualClock()
        lifecycle.gate = GateState.PENDING
        check = SelfCheck(
            runtime.app,
            cases=[RIGHT],
            lifecycle=lifecycle,
            metrics=runtime.metrics,
            seconds=seconds,
            clock=clock,
            jitter=lambda: 0.0,
        )
        runtime.app._loaded = Broken()  # type: ignore[assignment]
        await check.run()
        runtime.app._loaded = loaded
        assert (lifecycle.gate, lifecycle.ready) == (GateState.FAILED, policy is FailurePolicy.WARN)
        assert "check.run: the pod could not check itself (RuntimeError)" in lifecycle.explain_failure()
        assert "there is no" in caplog.text
        repeating = asyncio.create_task(check.repeat())
        await clock.advance(SECONDS)
        await until(lambda: lifecycle.gate is GateState.PASSED)
        await until(lambda: repeating.done() == (seconds == 0))
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)


async def test_a_pod_that_cannot_be_asked_before_it_serves_stays_shut_and_says_why() -> None:
    async with app_under_test(Turning()) as runtime:
        runtime.lifecycle.gate = GateState.PENDING
        runtime.app.loaded.engine.give_up("The server shuts down.")
        check = SelfCheck(
            runtime.app, cases=[RIGHT], lifecycle=runtime.lifecycle, metrics=runtime.metrics, seconds=SECONDS
        )
        await check.run()
    assert not runtime.lifecycle.ready
    assert "check.run: the pod could not be asked: answered with status 503" in runtime.lifecycle.explain()
