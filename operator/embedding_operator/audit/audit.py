"""One audit of one pod: ask, judge, say.

The pod answers the cases that it has mounted, a random part of the holdout set, which it does not have, and the texts
of the built-in checks; the judgement is the operator's own. What the pod says about itself plays no part in it.

Raises PodUnreachable, in one of its forms, whenever there is nothing to judge: that is never a failed audit.
"""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from embedding_model.goldens.cases import GoldenCase
from embedding_model.goldens.compare import judge_case
from embedding_model.goldens.questions import Answer, AnswerSheet, Question, QuestionSheet, list_questions
from embedding_model.ports import CaseResult, GateState, Verdict
from embedding_operator.audit.answer_values import AnswerValues
from embedding_operator.audit.checks import Checks, judge_checks, judge_space, list_checks, read_fixed
from embedding_operator.audit.client import PodUnreachable
from embedding_operator.audit.shared_results import share_passed
from embedding_operator.audit.sheets import split_sheets
from embedding_operator.observe.facts import AuditOrder, AuditReport

REASON_LENGTH: Final = 500  # characters of a verdict's reason
NOT_TOLD: Final = "not as expected"  # to a pod of a case of the holdout; the report has the values
CASES_AT_A_TIME: Final = 8  # some milliseconds of the largest vectors


class AskSheet(Protocol):
    """A pod's answers to a sheet; PodClient.answers. Raises PodUnreachable."""

    async def __call__(self, sheet: QuestionSheet) -> AnswerSheet: ...


@dataclass(frozen=True)
class Audit:
    """What came of it. `seconds` is how long the pod took to answer."""

    report: AuditReport
    verdict: Verdict
    seconds: float


@dataclass(frozen=True)
class _Answers:
    first: AnswerSheet
    lone: Answer
    by_question: Mapping[Question, Answer]
    seconds: float


async def audit_pod(
    ask: AskSheet,
    *,
    order: AuditOrder,
    drawn: Sequence[GoldenCase],
    compare: Callable[[Sequence[AnswerValues]], CaseResult | None],
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
) -> Audit:
    """Ask the order's cases, `drawn` of its holdout set, and the checks; the verdict is not delivered yet.

    `compare`: with other pods, the answers to the checks' fixed texts of one that passed everything else.
    Raises PodUnreachable: no answer, or the process changed meanwhile.
    """
    checks = list_checks(order.serving)
    cases = [(case, list_questions(case)) for case in (*order.case_set.cases, *drawn)]
    questions = [*checks.together, *(question for _, asked in cases for question in asked)]
    answers = await _ask(ask, order=order, checks=checks, questions=questions, monotonic=monotonic)
    together = [answers.by_question[question] for question in checks.together]
    results = [
        judge_space(answers.first.space, wanted=order.space),
        *judge_checks(checks, serving=order.serving, lone=answers.lone, together=together),
    ]
    for number, (case, asked) in enumerate(cases):
        if number % CASES_AT_A_TIME == 0:
            # A large set takes a while to judge, and the event loop is everybody's.
            await asyncio.sleep(0)
        results.append(judge_case(case, [answers.by_question[question] for question in asked]))
    if all(result.passed for result in results):
        compared = compare(read_fixed(checks, together=together))
        results += [compared] if compared is not None else []
    passed = all(result.passed for result in results)
    report = AuditReport(
        boot_id=answers.first.boot_id,
        case_set=order.case_set.name,
        state=GateState.PASSED if passed else GateState.FAILED,
        results=tuple(share_passed(result) for result in results),
        at=now(),
    )
    held = frozenset(case.name for case in drawn)
    verdict = _decide(report, order=order, held=held, epoch=answers.first.epoch)
    return Audit(report=report, verdict=verdict, seconds=answers.seconds)


def list_failed(report: AuditReport | None) -> frozenset[str]:
    """Names of the cases that failed."""
    return frozenset(result.name for result in report.results if not result.passed) if report else frozenset()


def _decide(report: AuditReport, *, order: AuditOrder, held: Container[str], epoch: int | None) -> Verdict:
    """`held`: names of the cases that the pod does not have. What they expect it must not learn from its verdict."""
    failed = next((result for result in report.results if not result.passed), None)
    reason = order.objection
    if failed is not None:
        reason = f"{failed.name}: {NOT_TOLD if failed.name in held else failed.detail}"
    return Verdict(
        boot_id=report.boot_id,
        case_set=report.case_set,
        passed=not reason,
        reason=reason[:REASON_LENGTH],
        epoch=epoch,
    )


async def _ask(
    ask: AskSheet,
    *,
    order: AuditOrder,
    checks: Checks,
    questions: Sequence[Question],
    monotonic: Callable[[], float],
) -> _Answers:
    started = monotonic()
    first = await ask(QuestionSheet(questions=(checks.lone,)))
    _require(first, count=1)
    sheets = list(split_sheets(list(dict.fromkeys(questions)), serving=order.serving))
    answers = dict(await _ask_sheets(ask, sheets, first=first))
    # An answer may be missing for a cause that passes, such as a worker that was just replaced: asked once more.
    missing = [question for question, answer in answers.items() if answer.error is not None]
    answers.update(await _ask_sheets(ask, list(split_sheets(missing, serving=order.serving)), first=first))
    return _Answers(
        first=first,
        lone=first.answers[0],
        by_question=answers,
        seconds=monotonic() - started,
    )


async def _ask_sheets(
    ask: AskSheet, sheets: Sequence[QuestionSheet], *, first: AnswerSheet
) -> Sequence[tuple[Question, Answer]]:
    pairs: list[tuple[Question, Answer]] = []
    for sheet in sheets:
        answered = await ask(sheet)
        _require(answered, count=len(sheet.questions))
        if (answered.boot_id, answered.space) != (first.boot_id, first.space):
            raise PodUnreachable("the server started anew while it was asked")
        pairs += zip(sheet.questions, answered.answers, strict=True)
    return pairs


def _require(sheet: AnswerSheet, *, count: int) -> None:
    if len(sheet.answers) != count:
        raise PodUnreachable(f"{len(sheet.answers)} answers came to {count} questions")
