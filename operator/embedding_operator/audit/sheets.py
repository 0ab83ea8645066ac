"""Questions in sheets of a size that a pod answers in one response, and the random part of a holdout set."""

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from embedding_model.goldens.cases import CaseSet, GoldenCase
from embedding_model.goldens.questions import Question, QuestionKind, QuestionSheet
from embedding_model.resolved import Serving

HOLDOUT_CASES: Final = 6  # of some dozens, every minute: a pod cannot know which, and all come up within minutes

# A sheet ends at the first of these. Its answer must fit into client.MAX_SHEET_BYTES, and come from a slow CPU within
# client.SHEET_SECONDS, which depends on how much there is to read. What a reference set has asked is one sheet as a
# rule: each takes a connection of its own, and those are most of what an audit costs the operator.
SHEET_QUESTIONS: Final = 32
SHEET_QUESTION_BYTES: Final = 16 * 1024
SHEET_ANSWER_BYTES: Final = 4 * 1024 * 1024
_SPARSE_ANSWER_BYTES: Final = 256 * 1024  # some thousand terms; few models answer more than some hundred


def draw_holdout(holdout: CaseSet, *, suspects: Collection[str], rng: random.Random) -> tuple[GoldenCase, ...]:
    """HOLDOUT_CASES by chance, and of `suspects` (cases that some pod failed last) as many again, in the set's order.

    A suspect is asked until it passes: by chance alone it might not come up again, and a failing pod would pass.
    """
    suspected = [case.name for case in holdout.cases if case.name in suspects][:HOLDOUT_CASES]
    others = [case.name for case in holdout.cases if case.name not in suspected]
    drawn = {*suspected, *rng.sample(others, k=min(HOLDOUT_CASES, len(others)))}
    return tuple(case for case in holdout.cases if case.name in drawn)


def split_sheets(questions: Sequence[Question], *, serving: Serving) -> Iterator[QuestionSheet]:
    sheet: list[Question] = []
    asked = answered = 0
    for question in questions:
        size, answer = _measure(question), _measure_answer(question, serving=serving)
        is_full = (
            len(sheet) == SHEET_QUESTIONS
            or asked + size > SHEET_QUESTION_BYTES
            or answered + answer > SHEET_ANSWER_BYTES
        )
        if sheet and is_full:
            yield QuestionSheet(questions=tuple(sheet))
            sheet, asked, answered = [], 0, 0
        sheet.append(question)
        asked, answered = asked + size, answered + answer
    if sheet:
        yield QuestionSheet(questions=tuple(sheet))


def _measure(question: Question) -> int:
    return sum(len(text.encode()) for text in (question.text, *question.documents))


def _measure_answer(question: Question, *, serving: Serving) -> int:
    match question.kind:
        case QuestionKind.EMBED:
            return 6 * (serving.dimensions or 0)  # base64 of float32
        case QuestionKind.RERANK:
            return 32 * len(question.documents)
        case _:
            return _SPARSE_ANSWER_BYTES
