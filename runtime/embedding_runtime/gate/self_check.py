"""Wall one as a whole: golden cases and built-in checks, at the start and again while serving."""

import logging
import random
from collections.abc import Callable, Sequence

from embedding_model.goldens.cases import GoldenCase
from embedding_model.ports import CaseResult, GateState
from embedding_runtime.clock import Clock, SystemClock, name_now
from embedding_runtime.gate.answer_checks import check_answers
from embedding_runtime.gate.answering import answer_cases
from embedding_runtime.gate.asking import NotAsked, ask_app_together, ask_one, ask_twice
from embedding_runtime.gate.check_results import describe_check
from embedding_runtime.gate.token_checks import check_tokens
from embedding_runtime.http.app import App
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

# A run is followed by at least so many times its duration without one: wall one takes 1 % of the time at most.
REST = 100
# Of a pod that is shut because it failed: no client waits for it, and it should not wait for hours to try again.
SHUT_REST = 10
# Until the next run, where runs are turned off and one could not be carried out: the pod waits for it.
RETRY_SECONDS = 60.0
# Pods that started together do not check together for ever.
JITTER = 0.2


class SelfCheck:
    """`seconds`: from one run to the next, up to 20 % less by chance, more where a run takes long."""

    def __init__(
        self,
        app: App,
        *,
        cases: Sequence[GoldenCase],
        lifecycle: Lifecycle,
        metrics: Metrics,
        seconds: float,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._app = app
        self._cases = cases
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._runs = 0
        self._is_owed = False  # the last run could not be carried out, and the pod is what it is for that
        self._cost: float | None = None  # the least that one took that passed
        self._rest = 0.0

    async def run(self) -> None:
        """Once, and what follows for the pod. The model must be loaded. Raises nothing.

        Without a run that was carried out nothing is served unmarked: at the start one that could not be is a failed
        one. While the pod serves, that it cannot be asked just now says nothing against what it answered before.
        """
        started = self._clock.monotonic()
        try:
            results = await self._check()
        except NotAsked as error:
            if self._lifecycle.gate is not GateState.PENDING:
                logger.warning("the pod could not be asked, and stays what it was: %s", error)
                self._weigh(self._clock.monotonic() - started, passed=False)
                self._metrics.self_check_given_up()
                return
            self._is_owed = True
            logger.error("the pod could not be asked: %s", error)
            results = (describe_check("run", passed=False, detail=f"the pod could not be asked: {error}"),)
        except Exception as error:
            self._is_owed = True
            logger.exception("the pod could not check itself")
            detail = f"the pod could not check itself ({type(error).__name__}); its log has the details"
            results = (describe_check("run", passed=False, detail=detail),)
        else:
            self._is_owed = False
        self._record(results, started=started)

    async def repeat(self) -> None:
        """Again and again, behind a first run; returns once that is turned off and a run has been carried out."""
        while self._seconds > 0 or self._is_owed:
            seconds = (self._seconds or RETRY_SECONDS) * (1 - JITTER * self._jitter())
            await self._clock.sleep(max(seconds, self._rest))
            await self.run()

    async def _check(self) -> tuple[CaseResult, ...]:
        """Golden cases first, in their order. Raises NotAsked."""
        loaded = self._app.loaded
        assert loaded is not None
        cases = await answer_cases(self._cases, ask=ask_one(ask_twice(ask_app_together(self._app))))
        return (*cases, *await check_answers(self._app), *await check_tokens(loaded))

    def _record(self, results: tuple[CaseResult, ...], *, started: float) -> None:
        lifecycle, before = self._lifecycle, self._lifecycle.gate
        took = self._clock.monotonic() - started
        lifecycle.record_check(results, at=name_now())
        passed = lifecycle.gate is GateState.PASSED
        self._weigh(took, passed=passed)
        self._metrics.self_check_done(results, passed=passed, seconds=took)
        if lifecycle.gate is before:
            return
        if passed:
            logger.info(
                "%s: %d golden cases and %d built-in checks passed",
                "ready" if lifecycle.ready else lifecycle.explain(),
                len(self._cases),
                len(results) - len(self._cases),
            )
        else:
            word = "serving unverified" if lifecycle.unverified else "not serving"
            logger.error("%s: %s", word, lifecycle.explain_failure())

    def _weigh(self, took: float, *, passed: bool) -> None:
        """A run costs what it took, or the least that one took that passed. The first one costs nothing: it made the
        pod warm."""
        self._runs += 1
        if self._runs == 1:
            return
        if passed:
            self._cost = min(took, self._cost or took)
        is_shut = self._lifecycle.gate is GateState.FAILED and not self._lifecycle.answering
        self._rest = (SHUT_REST if is_shut else REST) * min(took, self._cost or took)
