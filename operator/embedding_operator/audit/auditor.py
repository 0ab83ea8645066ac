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
from enum import StrEnum
from typing import Final, Protocol
from weakref import WeakValueDictionary

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState, Progress
from embedding_operator.audit.client import PodUnreachable
from embedding_operator.audit.progress_board import HOLD_SECONDS, ProgressBoard
from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.observe.facts import Key, PodRef

logger = logging.getLogger(__name__)

# A pod that starts is asked every second, so that its verdict is in the status within two.
PENDING_SECONDS: Final = 1.0
MAX_UNREACHABLE_SECONDS: Final = 15.0
# A pod that cannot be asked for so long is reported: before, it may be starting, or the network may be slow.
SILENT_SECONDS: Final = 30.0
# A trial that failed is asked again this often: what failed it may have passed.
FAILED_TRIAL_SECONDS: Final = 300.0
# Questions of one kind under way at the same time, over all pods, and over those of one namespace: pods that answer
# slowly, or not at all, hold up no other tenant, and a trial, which may take minutes, no other kind.
PARALLEL: Final = 16
PARALLEL_IN_NAMESPACE: Final = 4

Ask = Callable[[], Awaitable[float | None]]


class _Question(StrEnum):
    GOLDENS = "goldens"
    TRIAL = "trial"
    RESULT = "result"
    PROGRESS = "progress"


class PodQuestions(Protocol):
    """The pod client, or one of a test. Every call raises PodUnreachable."""

    async def goldens(self, ip: str) -> GoldensReport: ...
    async def trial(self, ip: str, *, case_set: CaseSet) -> GoldensReport: ...
    async def job_report(self, ip: str) -> JobReport: ...
    async def progress(self, ip: str) -> Progress: ...


@dataclass
class _Failure:
    """A question that got no answer: since when, why the last time, and whether the model was told."""

    since: float
    words: str
    is_told: bool = False


@dataclass
class _Pod:
    """One start of one pod's container. `tasks` are the questions that are being pursued.

    `trial` answers the one case set that was asked for last, `wanted`; `trial_round` is the reconcile that did.
    `progress_round` is the last reconcile that asked how far its fetch is.
    """

    ref: PodRef
    report: GoldensReport | None = None
    wanted: str | None = None
    trial: GoldensReport | None = None
    trial_round: int = 0
    progress_round: int = 0
    job_report: JobReport | None = None
    tasks: dict[_Question, asyncio.Task[None]] = field(default_factory=dict)
    failures: dict[_Question, _Failure] = field(default_factory=dict)
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
        self._board = ProgressBoard(clock=self._clock)
        self._slots = {question: asyncio.Semaphore(PARALLEL) for question in _Question}
        self._slots_of: WeakValueDictionary[tuple[str, _Question], asyncio.Semaphore] = WeakValueDictionary()

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
                    if pod.trial_round != pod.round:
                        self._drop_question(pod, _Question.TRIAL)
                    if pod.progress_round != pod.round:
                        self._drop_question(pod, _Question.PROGRESS)
                else:
                    self._forget(place)
        if not mentioned:
            del self._rounds[key]
            self._board.forget(key)

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        known = self._known(pod)
        self._pursue(known, _Question.GOLDENS, lambda: self._ask_goldens(known))
        return known.report

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        answer = self._known(pod).trial
        return {answer.case_set: answer} if answer else {}

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        """Ask until it is answered. One that failed is asked again as long as every reconcile requests it."""
        known = self._known(pod)
        known.trial_round = known.round
        if known.wanted != case_set.name:
            self._drop_question(known, _Question.TRIAL)
            known.wanted, known.trial = case_set.name, None
        if known.trial is None or known.trial.state is GateState.FAILED:
            self._pursue(known, _Question.TRIAL, lambda: self._ask_trial(known, case_set))

    def job_report(self, pod: PodRef) -> JobReport | None:
        known = self._known(pod)
        if known.job_report is None or known.job_report.state is JobState.RUNNING:
            self._pursue(known, _Question.RESULT, lambda: self._ask_job(known))
        if known.job_report is None or known.job_report.progress is None:
            return known.job_report
        return known.job_report.model_copy(update={"progress": self._board.read(pod.key, pod.uid)})

    def progress(self, pod: PodRef) -> Progress | None:
        """How far its fetch is, as long as every reconcile asks."""
        known = self._known(pod)
        known.progress_round = known.round
        self._pursue(known, _Question.PROGRESS, lambda: self._ask_progress(known))
        return self._board.read(pod.key, pod.uid)

    def unreachable(self, pod: PodRef) -> str | None:
        return next((failure.words for failure in self._known(pod).failures.values() if failure.is_told), None)

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
        if ref.is_running and not pod.ref.is_running:
            pod.failures.clear()  # it could not answer before
        pod.ref = ref
        pod.round = self._rounds.get(ref.key, 0)
        return pod

    def _forget(self, place: tuple[str, int]) -> None:
        pod = self._pods.pop(place)
        self._board.drop(pod.ref.key, pod.ref.uid)
        for task in pod.tasks.values():
            task.cancel()

    def _pursue(self, pod: _Pod, question: _Question, ask: Ask) -> None:
        """Start pursuing a question once the pod has an address; does nothing when it is pursued already."""
        if pod.ref.ip and question not in pod.tasks:
            loop = asyncio.get_running_loop()
            pod.tasks[question] = loop.create_task(
                self._repeat(pod, question, ask), name=f"{question} of {pod.ref.name}"
            )

    def _drop_question(self, pod: _Pod, question: _Question) -> None:
        pod.failures.pop(question, None)
        if task := pod.tasks.pop(question, None):
            task.cancel()

    async def _repeat(self, pod: _Pod, question: _Question, ask: Ask) -> None:
        """Ask until the question is settled (None), waiting as long as the answer says; unreachable pods back off."""
        attempts = 0
        while True:
            try:
                async with self._slots_in(pod.ref.key.namespace, question), self._slots[question]:
                    seconds = await ask()
                attempts = 0
                self._note_answer(pod, question)
                if seconds is None:
                    pod.tasks.pop(question, None)
                    return
            except PodUnreachable as error:
                attempts += 1
                seconds = backoff(attempts, first=PENDING_SECONDS, limit=MAX_UNREACHABLE_SECONDS, jitter=self._jitter)
                self._note_failure(pod, question, words=str(error))
            except Exception as error:
                attempts += 1
                seconds = MAX_UNREACHABLE_SECONDS
                logger.error("%s: unexpected error while asking pod %s", pod.ref.key, pod.ref.name, exc_info=error)
            await self._clock.sleep(seconds)

    def _slots_in(self, namespace: str, question: _Question) -> asyncio.Semaphore:
        """Kept as long as somebody waits for it or holds it."""
        place = (namespace, question)
        slots = self._slots_of.get(place)
        if slots is None:
            slots = self._slots_of[place] = asyncio.Semaphore(PARALLEL_IN_NAMESPACE)
        return slots

    def _note_answer(self, pod: _Pod, question: _Question) -> None:
        failure = pod.failures.pop(question, None)
        if failure is not None and failure.is_told:
            self._on_change(pod.ref.key)

    def _note_failure(self, pod: _Pod, question: _Question, *, words: str) -> None:
        """Tell the model once, when a running pod has been silent for long."""
        now = self._clock.monotonic()
        failure = pod.failures.setdefault(question, _Failure(since=now, words=words))
        failure.words = words
        if not pod.ref.is_running or failure.is_told or now - failure.since < SILENT_SECONDS:
            logger.debug("%s: pod %s: %s", pod.ref.key, pod.ref.name, words)
            return
        failure.is_told = True
        logger.warning("%s: pod %s cannot be asked: %s", pod.ref.key, pod.ref.name, words)
        self._on_change(pod.ref.key)

    async def _ask_goldens(self, pod: _Pod) -> float | None:
        report = await self._client.goldens(pod.ref.ip)
        if report != pod.report:
            pod.report = report
            if pod.trial is not None and pod.trial.boot_id != report.boot_id:
                pod.trial = None  # it is of a process that is gone
            self._on_change(pod.ref.key)
        return PENDING_SECONDS if report.state is GateState.PENDING else self._refresh_seconds

    async def _ask_trial(self, pod: _Pod, case_set: CaseSet) -> float | None:
        report = await self._client.trial(pod.ref.ip, case_set=case_set)
        if report.state is GateState.PENDING:
            return PENDING_SECONDS
        if report != pod.trial:
            pod.trial = report
            self._on_change(pod.ref.key)
        return FAILED_TRIAL_SECONDS if report.state is GateState.FAILED else None

    async def _ask_job(self, pod: _Pod) -> float | None:
        report = await self._client.job_report(pod.ref.ip)
        before, pod.job_report = pod.job_report, report
        is_shown = report.progress is not None and self._board.post(pod.ref.key, pod.ref.uid, progress=report.progress)
        if is_shown or before is None or _without_progress(report) != _without_progress(before):
            self._on_change(pod.ref.key)
        return PENDING_SECONDS if report.state is JobState.RUNNING else None

    async def _ask_progress(self, pod: _Pod) -> float | None:
        progress = await self._client.progress(pod.ref.ip)
        if self._board.post(pod.ref.key, pod.ref.uid, progress=progress):
            self._on_change(pod.ref.key)
        return HOLD_SECONDS


def _without_progress(report: JobReport) -> JobReport:
    return report.model_copy(update={"progress": None})
