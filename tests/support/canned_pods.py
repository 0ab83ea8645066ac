"""Pods that answer what a test laid down, and the reports that it lays down."""

from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

from embedding_model.goldens.cases import CaseSet, SimilarityCase
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, Progress, Verdict
from embedding_operator.audit.client import PodUnreachable
from embedding_operator.observe.facts import PodRef

Answer = TypeVar("Answer")
CASES = CaseSet(cases=(SimilarityCase(name="weather", a="It rains.", b="It pours.", expected="0.7", tolerance="0.1"),))


def report(state: GateState = GateState.PASSED, *, case_set: str = "cs-1") -> GoldensReport:
    return GoldensReport(
        boot_id="b", case_set=case_set, state=state, space="sp1-0", revision="r", device="cpu", dtype="float32"
    )


class CannedPods:
    """PodQuestions with laid down answers, by address; an address without an answer cannot be reached."""

    def __init__(self) -> None:
        self.reports: dict[str, GoldensReport] = {}
        self.trials: dict[str, GoldensReport] = {}
        self.job_reports: dict[str, JobReport] = {}
        self.fetches: dict[str, Progress] = {}
        self.asked: Counter[str] = Counter()

    async def goldens(self, pod: PodRef) -> GoldensReport:
        return self._answer(self.reports, pod.ip, question=f"goldens {pod.ip}")

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        return self._answer(self.trials, pod.ip, question=f"trial {pod.ip}")

    async def job_report(self, pod: PodRef) -> JobReport:
        return self._answer(self.job_reports, pod.ip, question=f"result {pod.ip}")

    async def progress(self, pod: PodRef) -> Progress:
        return self._answer(self.fetches, pod.ip, question=f"progress {pod.ip}")

    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet:
        raise PodUnreachable("no answer")

    async def contact(self, pod: PodRef) -> None:
        raise PodUnreachable("no answer")

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        raise PodUnreachable("no answer")

    def _answer(self, answers: Mapping[str, Answer], ip: str, *, question: str) -> Answer:
        self.asked[question] += 1
        if ip not in answers:
            raise PodUnreachable("no answer")
        return answers[ip]
