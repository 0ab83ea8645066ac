"""Pods that compute: seeded vectors for texts, over what a pod's private port answers, with faults on command."""

import hashlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from embedding_model.goldens.cases import CaseSet, VectorCase
from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, AnswerSheet, Question, QuestionSheet
from embedding_model.ports import GateState, GoldensReport, JobReport, JobState, Progress, Verdict
from embedding_model.resolved import Serving, Task
from embedding_operator.audit.client import PodUnreachable, RouteUnknown, VerdictRefused
from embedding_operator.observe.facts import PodRef

DIMENSIONS = 8
SPACE = f"sp1-{'a' * 32}"
SERVING = Serving(task=Task.EMBEDDING, normalize=True, dimensions=DIMENSIONS, max_input_tokens=100_000, lowercase=False)


def embed(text: str) -> list[float]:
    """A unit vector that only this text has."""
    rng = Random(hashlib.sha256(text.encode()).digest())
    values = [rng.gauss(0, 1) for _ in range(DIMENSIONS)]
    norm = math.hypot(*values)
    return [value / norm for value in values]


def answer_rightly(question: Question) -> Answer:
    return Answer(vector=encode_vector(embed(question.text)))


def case(name: str) -> VectorCase:
    text = f"the text of {name}"
    return VectorCase(name=name, input=text, vector=encode_vector(embed(text)), min_cosine_similarity="0.999")


def cases(*names: str) -> CaseSet:
    return CaseSet(cases=tuple(case(name) for name in names))


async def _at_once() -> None:
    pass


@dataclass
class AuditedPod:
    """One process. `answer` computes; `asked` are the texts that it was asked, `verdicts` what it was told."""

    answer: Callable[[Question], Answer] = answer_rightly
    boot_id: str = "boot-1"
    space: str = SPACE
    device: str = "cpu"
    dtype: str = "float32"
    mounted: CaseSet = field(default_factory=lambda: CaseSet(cases=()))
    wall_one: GateState = GateState.PASSED
    holds_verdict: bool = True
    epoch: int = 0
    is_old: bool = False
    refuses: int = 0  # answers to refuse with 503 before the first
    on_sheet: Callable[[], None] = lambda: None
    before_answer: Callable[[], Awaitable[None]] = _at_once  # what it waits for, as one that is slow
    asked: list[str] = field(default_factory=list)
    sheets: int = 0
    verdicts: list[Verdict] = field(default_factory=list)


class AuditedPods:
    """PodQuestions over pods by address; an address without a pod cannot be reached."""

    def __init__(self, **pods: AuditedPod) -> None:
        self.by_ip: dict[str, AuditedPod] = dict(pods)
        self.calls: Counter[str] = Counter()

    async def goldens(self, pod: PodRef) -> GoldensReport:
        found = self._find(pod, "goldens")
        return GoldensReport(
            boot_id=found.boot_id,
            case_set=found.mounted.name,
            state=found.wall_one,
            verdict=_judge(found.verdicts) if found.holds_verdict else GateState.PENDING,
            space=found.space,
            revision="r",
            device=found.device,
            dtype=found.dtype,
        )

    async def trial(self, pod: PodRef, *, case_set: CaseSet) -> GoldensReport:
        raise PodUnreachable("no trials here")

    async def job_report(self, pod: PodRef) -> JobReport:
        return JobReport(state=JobState.RUNNING)

    async def progress(self, pod: PodRef) -> Progress:
        raise PodUnreachable("nothing is fetched")

    async def answers(self, pod: PodRef, *, sheet: QuestionSheet) -> AnswerSheet:
        found = self._find(pod, "answers")
        if found.is_old:
            raise RouteUnknown("404")
        if found.refuses:
            found.refuses -= 1
            raise PodUnreachable("503")
        epoch = found.epoch
        await found.before_answer()
        found.sheets += 1
        found.on_sheet()
        found.asked += [question.text for question in sheet.questions]
        answers = tuple(found.answer(question) for question in sheet.questions)
        return AnswerSheet(boot_id=found.boot_id, space=found.space, answers=answers, epoch=epoch or None)

    async def contact(self, pod: PodRef) -> None:
        self._find(pod, "contact")

    async def deliver(self, pod: PodRef, *, verdict: Verdict) -> None:
        found = self._find(pod, "verdict")
        if (verdict.boot_id, verdict.case_set) != (found.boot_id, found.mounted.name):
            raise VerdictRefused("409")
        if verdict.passed and (verdict.epoch or 0) != found.epoch:
            raise VerdictRefused("409")
        found.epoch += not verdict.passed
        found.verdicts.append(verdict)
        found.holds_verdict = True

    def _find(self, pod: PodRef, question: str) -> AuditedPod:
        self.calls[f"{question} {pod.ip}"] += 1
        if pod.ip not in self.by_ip:
            raise PodUnreachable("no answer")
        return self.by_ip[pod.ip]


def _judge(verdicts: list[Verdict]) -> GateState:
    if not verdicts:
        return GateState.PENDING
    return GateState.PASSED if verdicts[-1].passed else GateState.FAILED
