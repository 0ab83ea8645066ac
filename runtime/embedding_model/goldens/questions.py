"""What a golden case asks of a pod, and the form of the pod's answer, for every task.

A case is asked as one question or two, none of which holds what is expected: whoever answers cannot know it. Both walls
of the gate use this: the pod asks itself, and the operator asks the pod over the private port.
"""

import math
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator

from embedding_model.goldens.cases import (
    GoldenCase,
    LabelCase,
    RankingCase,
    ScoreCase,
    SimilarityCase,
    SparseCase,
)
from embedding_model.resolved import Document


class QuestionKind(StrEnum):
    EMBED = "Embed"  # text, prompt -> vector
    RERANK = "Rerank"  # text (the query), documents -> scores
    CLASSIFY = "Classify"  # text -> labels
    SPARSE = "Sparse"  # text, prompt -> terms


def _read_null(value: object) -> object:
    return math.nan if value is None else value


# JSON has no NaN and no infinity: both are written as null, and read as NaN. A broken model's answer must arrive, and
# fail, instead of being taken for one that could not be read.
Number = Annotated[float, BeforeValidator(_read_null)]


class Question(Document):
    """`prompt` is the name of a prompt of the model; absent: the default one applies."""

    kind: QuestionKind
    text: str
    documents: tuple[str, ...] = ()
    prompt: str | None = None


class LabelScore(Document):
    label: str
    score: Number


class TermWeight(Document):
    term: str
    weight: Number


class Answer(Document):
    """Exactly one field is set.

    `vector`: base64 of little-endian float32, as served. `scores`: after the served activation, one for each document,
    in their order. `labels`: every label, best first. `terms`: every term of a weight other than 0, heaviest first.
    `error`: in words, without user text, why there is no answer.
    """

    vector: str | None = None
    scores: tuple[Number, ...] | None = None
    labels: tuple[LabelScore, ...] | None = None
    terms: tuple[TermWeight, ...] | None = None
    error: str | None = None


class QuestionSheet(Document):
    """Body of POST ports.ANSWERS."""

    questions: tuple[Question, ...]


class AnswerSheet(Document):
    """Answers in the order of the questions, of one process: `boot_id` as in ports.GoldensReport. `epoch` is the
    process's when it was asked: another one whenever a wall has failed, or wall one passes again. Absent is 0.
    """

    boot_id: str
    space: str
    answers: tuple[Answer, ...]
    epoch: int | None = None


def list_questions(case: GoldenCase) -> tuple[Question, ...]:
    """What has to be asked to judge the case: two questions of a similarity case, one of any other."""
    match case:
        case SimilarityCase():
            return tuple(Question(kind=QuestionKind.EMBED, text=text, prompt=case.prompt) for text in (case.a, case.b))
        case RankingCase():
            return (Question(kind=QuestionKind.RERANK, text=case.query, documents=case.documents),)
        case ScoreCase():
            return (Question(kind=QuestionKind.RERANK, text=case.query, documents=(case.document,)),)
        case LabelCase():
            return (Question(kind=QuestionKind.CLASSIFY, text=case.input),)
        case SparseCase():
            return (Question(kind=QuestionKind.SPARSE, text=case.input, prompt=case.prompt),)
        case _:
            return (Question(kind=QuestionKind.EMBED, text=case.input, prompt=case.prompt),)
