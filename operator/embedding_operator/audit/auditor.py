"""What pods answer, remembered: asked in the background, read by reconciles without waiting.

A pod's answers belong to one start of its container. They are kept and refreshed as long as reconciles of its model
look at the pod: `round_of` marks one reconcile, and a pod that a whole round did not mention is forgotten. So a deleted
pod's address, which another workload may get, is not asked any more.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import CaseResult, GateState, GoldensReport, JobReport, JobState, Progress
from embedding_model.resolved import Task
from embedding_operator.audit.answer_values import AnswerValues
from embedding_operator.audit.audit import Audit, audit_pod
from embedding_operator.audit.client import AnswerUnusable, NeverAsked, PodUnreachable, RouteUnknown, VerdictRefused
from embedding_operator.audit.peers import COMPARISON, compare_replicas, list_awaited, list_colleagues, list_overruled
from embedding_operator.audit.pod_record import (
    Delivery,
    PodQuestions,
    PodRecord,
    Topic,
    is_same_order,
    without_times,
)
from embedding_operator.audit.progress_board import HOLD_SECONDS, ProgressBoard
from embedding_operator.audit.pursuit import FAILED_TRIAL_SECONDS, Pursuit
from embedding_operator.audit.shared_results import share_results
from embedding_operator.audit.sheets import draw_holdout
from embedding_operator.audit.trial import Trial
from embedding_operator.clock import Clock, MonotonicClock
from embedding_operator.observe.facts import AuditOrder, AuditReport, Key, PodRef

# A pod that starts is asked every second, so that its verdict is in the status within two.
PENDING_SECONDS: Final = 1.0
# Of a judged pod. One that closes itself is asked at once, since the kubelet says that it is not ready.
REFRESH_SECONDS: Final = 60.0
# Of one that failed by itself: when it passes again, it opens alone 10 s later unless it is audited.
CLOSED_SECONDS: Final = 4.0


class Auditor:
    """See the module's docstring. One event loop.

    `on_change` gets the key of a model whose pod's answer changed, `on_audit` the result and the seconds of each audit.
    `rng` draws from holdout sets: by default one that no pod can foresee.
    """

    def __init__(
        self,
        client: PodQuestions,
        *,
        on_change: Callable[[Key], None],
        audit_seconds: float,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Clock | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        rng: random.Random | None = None,
        on_audit: Callable[[str, float], None] = lambda result, seconds: None,
    ) -> None:
        self._client = client
        self._on_change = on_change
        self._on_audit = on_audit
        self._audit_seconds = audit_seconds
        self._refresh_seconds = refresh_seconds
        self._clock = clock or MonotonicClock()
        self._now = now
        self._jitter = jitter
        self._pursuit = Pursuit(on_change=on_change, contact=client.contact, clock=self._clock, jitter=jitter)
        self._rng = rng or random.SystemRandom()
        self._pods: dict[Key, dict[tuple[str, int], PodRecord]] = {}
        self._rounds: dict[Key, int] = {}
        self._board = ProgressBoard(clock=self._clock)

    @contextmanager
    def round_of(self, key: Key) -> Iterator[None]:
        """One reconcile of `key`; when it ends without an error, pods that it did not mention are forgotten."""
        self._rounds[key] = self._rounds.get(key, 0) + 1
        yield
        for pod in self._pods_of(key):
            if pod.round != self._rounds[key]:
                self._forget(pod)
                continue
            rounds = {Topic.TRIAL: pod.trial_round, Topic.PROGRESS: pod.progress_round, Topic.AUDIT: pod.audit_round}
            for topic, last in rounds.items():
                if last != pod.round:
                    self._pursuit.drop(pod, topic)
        if key not in self._pods:
            del self._rounds[key]
            self._board.forget(key)

    def goldens(self, pod: PodRef) -> GoldensReport | None:
        known = self._known(pod)
        if known.was_ready and not pod.is_ready:
            self._pursuit.hurry(known, Topic.GOLDENS)
        known.was_ready = pod.is_ready
        self._pursuit.start(known, Topic.GOLDENS, lambda: self._ask_goldens(known))
        return known.report

    def trials(self, pod: PodRef) -> Mapping[str, GoldensReport]:
        answer = self._known(pod).trial
        return {answer.case_set: answer} if answer else {}

    def request_trial(self, pod: PodRef, *, case_set: CaseSet) -> None:
        """Ask until it is answered. One that failed is asked again as long as every reconcile requests it."""
        known = self._known(pod)
        known.trial_round = known.round
        if known.wanted != case_set.name:
            self._pursuit.drop(known, Topic.TRIAL)
            known.wanted, known.trial = case_set.name, None
        if known.trial is None or known.trial.state is GateState.FAILED:
            trial = Trial(case_set)
            self._pursuit.start(known, Topic.TRIAL, lambda: self._ask_trial(known, trial))

    def audit(self, pod: PodRef) -> AuditReport | None:
        return self._known(pod).audit_report

    def request_audit(self, pod: PodRef, *, order: AuditOrder) -> None:
        """Audit again and again, as long as every reconcile requests it; at once when the order is another one."""
        known = self._known(pod)
        known.audit_round = known.round
        if not is_same_order(known.order, order):
            self._pursuit.drop(known, Topic.AUDIT)
        known.order = order
        is_too_old = known.audit_report is not None and known.audit_report.state is GateState.PENDING
        if not is_too_old:
            self._pursuit.start(known, Topic.AUDIT, lambda: self._audit(known))

    def job_report(self, pod: PodRef) -> JobReport | None:
        known = self._known(pod)
        if known.job_report is None or known.job_report.state is JobState.RUNNING:
            self._pursuit.start(known, Topic.RESULT, lambda: self._ask_job(known))
        if known.job_report is None or known.job_report.progress is None:
            return known.job_report
        return known.job_report.model_copy(update={"progress": self._board.read(pod.key, pod.uid)})

    def job_defect(self, pod: PodRef) -> str | None:
        return self._known(pod).job_defect

    def progress(self, pod: PodRef) -> Progress | None:
        """How far its fetch is, as long as every reconcile asks."""
        known = self._known(pod)
        known.progress_round = known.round
        self._pursuit.start(known, Topic.PROGRESS, lambda: self._ask_progress(known))
        return self._board.read(pod.key, pod.uid)

    def unreachable(self, pod: PodRef) -> str | None:
        return next((failure.words for failure in self._known(pod).failures.values() if failure.is_told), None)

    async def close(self) -> None:
        pods = [pod for key in self._pods for pod in self._pods_of(key)]
        tasks = [task for pod in pods for task in pod.tasks.values()]
        for pod in pods:
            self._forget(pod)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, ref: PodRef) -> PodRecord:
        """Our record of this start of the pod; a pod may get its address later than its name."""
        pods = self._pods.setdefault(ref.key, {})
        place = (ref.uid, ref.starts)
        pod = pods.get(place)
        if pod is None:
            former = max((item for item in pods.values() if item.ref.uid == ref.uid), key=_count_starts, default=None)
            pod = pods[place] = PodRecord(ref=ref, awaited=_find_awaited(former))
        if ref.is_running and not pod.ref.is_running:
            pod.failures.clear()  # it could not answer before
        pod.ref = ref
        pod.round = self._rounds.get(ref.key, 0)
        return pod

    def _pods_of(self, key: Key) -> list[PodRecord]:
        return list(self._pods.get(key, {}).values())

    def _forget(self, pod: PodRecord) -> None:
        pods = self._pods[pod.ref.key]
        del pods[pod.ref.uid, pod.ref.starts]
        if not pods:
            del self._pods[pod.ref.key]
        self._board.drop(pod.ref.key, pod.ref.uid)
        for task in pod.tasks.values():
            task.cancel()

    async def _ask_goldens(self, pod: PodRecord) -> float | None:
        report = await self._client.goldens(pod.ref)
        self._note_report(pod, report)
        is_lost = _has_lost_verdict(report, audit=pod.audit) and pod.audit is not pod.lost and Topic.AUDIT in pod.tasks
        if is_lost and (not pod.ref.is_ready or self._may_hasten(pod)):
            # It failed by itself and passes again, or never got it: one that is shut opens alone soon. Once for each
            # audit: a slow pod is still answering the next one when it is asked this again.
            pod.lost = pod.audit
            self._restart_audit(pod)
        waits = {GateState.PENDING: PENDING_SECONDS, GateState.FAILED: CLOSED_SECONDS}
        return waits.get(report.state, self._refresh_seconds)

    def _note_report(self, pod: PodRecord, report: GoldensReport) -> None:
        if pod.report is not None and without_times(report) == without_times(pod.report):
            return
        pod.report = share_results(report)
        if pod.trial is not None and pod.trial.boot_id != report.boot_id:
            pod.trial = None  # it is of a process that is gone
        self._on_change(pod.ref.key)

    async def _ask_trial(self, pod: PodRecord, trial: Trial) -> float | None:
        """One part of it, and the next when it is the pod's turn again: other pods are tried meanwhile."""
        answer = await self._client.trial(pod.ref, case_set=trial.part)
        if answer.state is GateState.PENDING:
            return PENDING_SECONDS
        report = trial.take(answer)
        if report is None:
            return 0.0
        if pod.trial is None or without_times(report) != without_times(pod.trial):
            pod.trial = report
            self._on_change(pod.ref.key)
        return FAILED_TRIAL_SECONDS if report.state is GateState.FAILED else None

    async def _audit(self, pod: PodRecord) -> float | None:
        """One audit, its verdict delivered. An answer without delivery counts only against the pod: it may serve."""
        started = self._clock.monotonic()
        order = pod.order
        assert order is not None
        try:
            audit = self._find_undelivered(pod) or await self._examine(pod, order)
            pod.undelivered = pod.undelivered or Delivery(audit, since=self._clock.monotonic())
            await self._deliver(pod, audit)
        except RouteUnknown:
            self._on_audit("Unsupported", self._clock.monotonic() - started)
            report = AuditReport("", order.case_set.name, GateState.PENDING, results=(), at=self._now())
            self._note_audit(pod, None, report=report)
            return None
        except PodUnreachable:
            self._on_audit("Unreachable", self._clock.monotonic() - started)
            raise
        self._on_audit(str(audit.report.state), self._clock.monotonic() - started)
        self._note_audit(pod, audit, report=audit.report)
        return self._audit_seconds * (1.0 - 0.2 * self._jitter())

    def _find_undelivered(self, pod: PodRecord) -> Audit | None:
        """The last audit, when only its verdict did not arrive: the pod need not answer everything again."""
        now = self._clock.monotonic()
        if pod.undelivered is not None and now - pod.undelivered.since >= self._audit_seconds:
            pod.undelivered = None  # it says little about the pod of today
        return pod.undelivered.audit if pod.undelivered else None

    async def _deliver(self, pod: PodRecord, audit: Audit) -> None:
        try:
            await self._client.deliver(pod.ref, verdict=audit.verdict)
            pod.undelivered, pod.refused = None, False
            self._note_verdict(pod, audit)
        except (RouteUnknown, VerdictRefused) as error:
            pod.undelivered, pod.refused = None, isinstance(error, VerdictRefused)
            raise
        except PodUnreachable:
            if audit.report.state is GateState.FAILED:
                self._note_audit(pod, audit, report=audit.report)
            raise

    def _note_verdict(self, pod: PodRecord, audit: Audit) -> None:
        """What the pod says of it from now on."""
        state = GateState.PASSED if audit.verdict.passed else GateState.FAILED
        report = pod.report
        if report is not None and report.boot_id == audit.verdict.boot_id and report.verdict is not state:
            pod.report = report.model_copy(update={"verdict": state})
            self._on_change(pod.ref.key)

    async def _examine(self, pod: PodRecord, order: AuditOrder) -> Audit:
        colleagues = list_colleagues(self._pods_of(pod.ref.key), pod=pod)
        if pod.report is None and (colleagues or Topic.GOLDENS in pod.tasks):
            # It says on what hardware the pod computes, and what another leader told it.
            self._note_report(pod, await self._client.goldens(pod.ref))
        failed = {other.ref.uid: cases for other in colleagues if (cases := other.failed_cases)}
        pod.contested = {uid: cases for uid, cases in pod.contested.items() if uid in failed}
        suspects = [*pod.contested.values(), *self._rng.sample([*failed.values()], k=len(failed))]
        spent = 0.0

        async def ask(sheet: QuestionSheet) -> AnswerSheet:
            nonlocal spent
            begun: float | None = self._clock.monotonic()
            try:
                return await self._client.answers(pod.ref, sheet=sheet)
            except NeverAsked:
                begun = None
                raise
            finally:
                spent += 0.0 if begun is None else self._clock.monotonic() - begun

        try:
            audit = await audit_pod(
                ask,
                order=order,
                drawn=draw_holdout(
                    order.holdout, failed=_list_suspected(pod, holdout=order.holdout), suspects=suspects, rng=self._rng
                ),
                compare=lambda answers: self._compare(pod, answers, task=order.serving.task),
                monotonic=self._clock.monotonic,
                now=self._now,
            )
        except BaseException:  # also one that is cancelled, for another order
            pod.budget.charge_unfinished(spent, is_closed=pod.is_closed, now=self._clock.monotonic())
            raise
        passed = audit.report.state is GateState.PASSED
        pod.budget.charge(audit.seconds, passed=passed, is_closed=pod.is_closed, now=self._clock.monotonic())
        return audit

    def _compare(self, pod: PodRecord, answers: Sequence[AnswerValues], *, task: Task) -> CaseResult | None:
        """With what other pods have answered until now: audits go on beside each other."""
        pods = self._pods_of(pod.ref.key)
        colleagues = [*list_colleagues(pods, pod=pod), *list_awaited(pods, pod=pod)]
        return compare_replicas(colleagues, pod=pod, answers=answers, task=task)

    def _note_audit(self, pod: PodRecord, audit: Audit | None, *, report: AuditReport) -> None:
        before, failed_before = pod.audit_report, pod.failed_cases
        colleagues = list_colleagues(self._pods_of(pod.ref.key), pod=pod)
        pod.audit, pod.audit_report = audit, report
        settled = _settle(pod.contested, report=report)
        if before is not None and _what_counts(before) == _what_counts(report) and not settled:
            return
        self._on_change(pod.ref.key)
        if pod.failed_cases - failed_before:
            # Is it the pod or the case? Those who passed are asked the same, now.
            for other in colleagues:
                if not other.failed_cases:
                    self._contest(pod, witness=other)
        for other in list_overruled([pod, *colleagues]):
            # Once for each: its next result is what the voices say. One that is under way ends with that anyway.
            if other is not pod and Topic.AUDIT not in other.asking:
                self._restart_audit(other)

    def _contest(self, pod: PodRecord, *, witness: PodRecord) -> None:
        """Ask the witness what the pod failed: at once, or as soon as audits that came early are paid for.

        A first audit goes on: it would begin anew with every pod that fails, and its pod waits for it.
        """
        assert witness.order is not None
        drawable = pod.failed_cases.intersection(case.name for case in witness.order.holdout.cases)
        if drawable:
            witness.contested[pod.ref.uid] = drawable
        if witness.audit_report is not None and self._may_hasten(witness):
            self._restart_audit(witness)

    def _may_hasten(self, pod: PodRecord) -> bool:
        return pod.budget.rest(now=self._clock.monotonic(), in_advance=True) == 0

    def _restart_audit(self, pod: PodRecord) -> None:
        self._pursuit.drop(pod, Topic.AUDIT)
        self._pursuit.start(pod, Topic.AUDIT, lambda: self._audit(pod))

    async def _ask_job(self, pod: PodRecord) -> float | None:
        try:
            report = await self._client.job_report(pod.ref)
        except AnswerUnusable as error:
            if pod.job_defect is None:
                self._on_change(pod.ref.key)
            pod.job_defect = str(error)
            raise
        before, pod.job_report, pod.job_defect = pod.job_report, report, None
        is_shown = report.progress is not None and self._board.post(pod.ref.key, pod.ref.uid, progress=report.progress)
        if is_shown or before is None or _without_progress(report) != _without_progress(before):
            self._on_change(pod.ref.key)
        return PENDING_SECONDS if report.state is JobState.RUNNING else None

    async def _ask_progress(self, pod: PodRecord) -> float | None:
        progress = await self._client.progress(pod.ref)
        if self._board.post(pod.ref.key, pod.ref.uid, progress=progress):
            self._on_change(pod.ref.key)
        return HOLD_SECONDS


def _count_starts(pod: PodRecord) -> int:
    return pod.ref.starts


def _find_awaited(former: PodRecord | None) -> str | None:
    """The space of a pod that others were compared with and that starts anew; one that does so twice is not awaited."""
    is_trusted = former is not None and former.voice is not None and former.voice.is_trusted
    return former.order.space if former is not None and former.order is not None and is_trusted else None


def _list_suspected(pod: PodRecord, *, holdout: CaseSet) -> frozenset[str]:
    """What it failed; all of them where another leader told it so, of whom nobody knows what that was."""
    was_told = pod.audit_report is None and pod.report is not None and pod.report.verdict is GateState.FAILED
    return frozenset(case.name for case in holdout.cases) if was_told else pod.failed_cases


def _has_lost_verdict(report: GoldensReport, *, audit: Audit | None) -> bool:
    return (
        audit is not None
        and audit.report.boot_id == report.boot_id
        and report.state is GateState.PASSED
        and report.verdict is GateState.PENDING
    )


def _settle(contested: dict[str, frozenset[str]], *, report: AuditReport) -> bool:
    """Whether it answers what was contested, which then is no more."""
    answered = {result.name for result in report.results}
    settled = [uid for uid, names in contested.items() if names & answered]
    for uid in settled:
        del contested[uid]
    return bool(settled)


def _what_counts(report: AuditReport) -> object:
    failed = [result.name for result in report.results if not result.passed]
    is_compared = any(result.name == COMPARISON for result in report.results)
    return report.boot_id, report.case_set, report.state, failed, is_compared


def _without_progress(report: JobReport) -> JobReport:
    return report.model_copy(update={"progress": None})
