"""Questions in sheets, and cases in parts, of a size that a pod answers in one response; and the random part of a
holdout set."""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import Final

from embedding_model.goldens.cases import CaseSet, GoldenCase
from embedding_model.goldens.questions import Question, QuestionKind, QuestionSheet, list_questions
from embedding_model.resolved import Serving

HOLDOUT_CASES: Final = 6  # of some dozens, every minute: a pod cannot know which, and all come up within minutes
MAX_DRAWN: Final = 2 * HOLDOUT_CASES

# A sheet ends at the first of these. Its answer must fit into client.MAX_SHEET_BYTES, and come from a slow CPU within
# client.SHEET_SECONDS, which depends on how much there is to read. What a reference set has asked is one sheet as a
# rule: each takes a connection of its own, and those are most of what an audit costs the operator.
SHEET_QUESTIONS: Final = 32
SHEET_QUESTION_BYTES: Final = 16 * 1024
SHEET_ANSWER_BYTES: Final = 4 * 1024 * 1024
_SPARSE_ANSWER_BYTES: Final = 256 * 1024  # some thousand terms; few models answer more than some hundred


def draw_holdout(
    holdout: CaseSet, *, failed: Collection[str], suspects: Iterable[Collection[str]], rng: random.Random
) -> tuple[GoldenCase, ...]:
    """MAX_DRAWN at most, unless it `failed` more, in the set's order: all that the pod `failed` itself in its last
    audit, of `suspects` (for each other pod what it failed, the most urgent first) until they are HOLDOUT_CASES, and
    as many by chance.

    What a pod failed it is asked until it passes: by chance alone it might not come up again, and a failing pod would
    pass. It failed more than was drawn only where another leader said so, who alone knew what. Of every other pod a
    case comes before the second of any.
    """
    names = [case.name for case in holdout.cases]
    asked = [name for name in names if name in failed]
    shuffled = [_shuffle([name for name in names if name in suspected], rng=rng) for suspected in suspects]
    turns = dict.fromkeys(name for name in chain.from_iterable(zip_longest(*shuffled)) if name is not None)
    others = [name for name in turns if name not in asked]
    asked += others[: max(0, HOLDOUT_CASES - len(asked))]
    rest = _shuffle([name for name in names if name not in asked], rng=rng)
    drawn = {*asked, *rest[: min(HOLDOUT_CASES, max(0, MAX_DRAWN - len(asked)))]}
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


def split_cases(case_set: CaseSet) -> Iterator[CaseSet]:
    """Parts that ask no more than a sheet does, but for a case that does so alone. How much is answered does not count:
    a pod that tries cases sends their results, which are short.
    """
    part: list[GoldenCase] = []
    questions = asked = 0
    for case in case_set.cases:
        of_case = list_questions(case)
        size = sum(_measure(question) for question in of_case)
        if part and (questions + len(of_case) > SHEET_QUESTIONS or asked + size > SHEET_QUESTION_BYTES):
            yield CaseSet(cases=tuple(part))
            part, questions, asked = [], 0, 0
        part.append(case)
        questions, asked = questions + len(of_case), asked + size
    if part:
        yield CaseSet(cases=tuple(part))


def _shuffle(names: Sequence[str], *, rng: random.Random) -> Sequence[str]:
    return rng.sample(names, k=len(names))


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
