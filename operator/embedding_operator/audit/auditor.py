"""What pods answer, remembered: asked in the background, read by reconciles without waiting.

A pod's answers belong to one start of its container. They are kept and refreshed as long as reconciles of its model
look at the pod: `round_of` marks one reconcile, and a pod that a whole round did not mention is forgotten. So a deleted
pod's address, which another workload may get, is not asked any more.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState
from embedding_operator.audit.client import PodUnreachable
from embedding_operator.observe.facts import Key, PodRef
from embedding_operator.workqueue import Clock, MonotonicClock, backoff

logger = logging.getLogger(__name__)

# A pod that starts is asked every second, so that its verdict is in the status within two.
PENDING_SECONDS: Final = 1.0
MAX_UNREACHABLE_SECONDS: Final = 15.0
# Questions under way at the same time, over all pods.
PARALLEL: Final = 16

Ask = Callable[[], Awaitable[float | None]]


class PodQuestions(Protocol):
    """The pod client, or one of a test. Every call raises PodUnreachable."""

    async def goldens(self, ip: str) -> GoldensReport: ...
    async def trial(self, ip: str, *, case_set: CaseSet) -> GoldensReport: ...
    async def job_report(self, ip: str) -> JobReport: ...


@dataclass
class _Pod:
    """One start of one pod's container. `tasks` are the questions that are being pursued, by name."""

    ref: PodRef
    report: GoldensReport | None = None
    trials: dict[str, GoldensReport] = field(default_factory=dict)
    job_report: JobReport | None = None
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    round: int = 0


class Auditor:
    """See the module's docstring. `on_change` gets the key of a model whose pod's answer changed. One event loop."""

    def __init__(
        self,
        client: PodQuestions,
        *,
        on_change: Callable[[Key], None],
        refresh_seconds: float,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._on_change = on_change
        self._refresh_seconds = refresh_seconds
        self._clock = clock or MonotonicClock()
        self._jitter = jitter
        self._pods: dict[tuple[str, int], _Pod] = {}
        self._rounds: dict[Key, int] = {}
        self._slots = asyncio.Semaphore(PARALLEL)

    @contextmanager
    def round_of(self, key: Key) -> Iterator[None]:
        """One reconcile of `key`; when it ends without an error, pods that it did not mention are forgotten."""
        self._rounds[key] = self._rounds.get(key, 0) + 1
        yield
        mentioned = False
        for place, pod in list(self._pods.items()):
            if pod.ref.key == key:
                if pod.round == self._rounds[key]:
                    mentioned = True
                else:
                    self._forget(place)
        if not mentioned:
            del self._rounds[key]

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        known = self._known(pod)
        self._pursue(known, "goldens", lambda: self._ask_goldens(known))
        return known.report

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        return dict(self._known(pod).trials)

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        known = self._known(pod)
        if case_set.name not in known.trials:
            self._pursue(known, f"trial {case_set.name}", lambda: self._ask_trial(known, case_set))

    def job_report(self, pod: PodRef) -> JobReport | None:
        known = self._known(pod)
        if known.job_report is None or known.job_report.state is JobState.RUNNING:
            self._pursue(known, "result", lambda: self._ask_job(known))
        return known.job_report

    async def close(self) -> None:
        tasks = [task for pod in self._pods.values() for task in pod.tasks.values()]
        for place in list(self._pods):
            self._forget(place)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, ref: PodRef) -> _Pod:
        """Our record of this start of the pod; a pod may get its address later than its name."""
        place = (ref.uid, ref.starts)
        pod = self._pods.get(place)
        if pod is None:
            pod = self._pods[place] = _Pod(ref=ref)
        pod.ref = ref
        pod.round = self._rounds.get(ref.key, 0)
        return pod

    def _forget(self, place: tuple[str, int]) -> None:
        for task in self._pods.pop(place).tasks.values():
            task.cancel()

    def _pursue(self, pod: _Pod, name: str, ask: Ask) -> None:
        """Start pursuing a question once the pod has an address; does nothing when it is pursued already."""
        if pod.ref.ip and name not in pod.tasks:
            loop = asyncio.get_running_loop()
            pod.tasks[name] = loop.create_task(self._repeat(pod, name, ask), name=f"{name} of {pod.ref.name}")

    async def _repeat(self, pod: _Pod, name: str, ask: Ask) -> None:
        """Ask until the question is settled (None), waiting as long as the answer says; unreachable pods back off."""
        failures = 0
        while True:
            try:
                async with self._slots:
                    seconds = await ask()
                failures = 0
                if seconds is None:
                    pod.tasks.pop(name, None)
                    return
            except PodUnreachable as error:
                failures += 1
                seconds = backoff(failures, first=PENDING_SECONDS, limit=MAX_UNREACHABLE_SECONDS, jitter=self._jitter)
                logger.debug("%s: pod %s: %s", pod.ref.key, pod.ref.name, error)
            except Exception as error:
                failures += 1
                seconds = MAX_UNREACHABLE_SECONDS
                logger.error("%s: unexpected error while asking pod %s", pod.ref.key, pod.ref.name, exc_info=error)
            await self._clock.sleep(seconds)

    async def _ask_goldens(self, pod: _Pod) -> float | None:
        report = await self._client.goldens(pod.ref.ip)
        if report != pod.report:
            pod.report = report
            self._on_change(pod.ref.key)
        return PENDING_SECONDS if report.state is GateState.PENDING else self._refresh_seconds

    async def _ask_trial(self, pod: _Pod, case_set: CaseSet) -> float | None:
        report = await self._client.trial(pod.ref.ip, case_set=case_set)
        if report.state is GateState.PENDING:
            return PENDING_SECONDS
        pod.trials[case_set.name] = report
        self._on_change(pod.ref.key)
        return None

    async def _ask_job(self, pod: _Pod) -> float | None:
        report = await self._client.job_report(pod.ref.ip)
        if report != pod.job_report:
            pod.job_report = report
            self._on_change(pod.ref.key)
        return PENDING_SECONDS if report.state is JobState.RUNNING else None
