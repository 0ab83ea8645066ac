"""Built-in checks of wall two: fixed texts, whose answers must have the properties that the model promises.

They need no golden case. What is compared is compared with the pod's own answers, or with those of other pods:

check.answers     every question gets an answer of its kind; numbers are finite
check.dimensions  a vector has the served dimensions
check.norm        of a model that normalises, a vector has norm 1 (within 1 %, as in golden cases)
check.batch       a text has the same answer alone and among others
check.truncation  two texts that differ beyond the maximum length have the same answer; only of models that read at most
                  LONGEST_TOKENS, since it costs as much as all other questions together
check.replicas    most pods of the same model, space, device and dtype answer the same: peers.py
check.tie         where as many of them answer one way as the other, this one answers as those that passed first

"The same": a cosine of at least MIN_COSINE for vectors and terms, a distance of at most SCORE_TOLERANCE for scores and
labels, relative to the largest where that is above 1 (scores may be logits). Half precision is well within both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from embedding_model.goldens.compare import NORM_TOLERANCE, decode_vector
from embedding_model.goldens.questions import Answer, Question, QuestionKind
from embedding_model.goldens.results import is_finite
from embedding_model.ports import CaseResult
from embedding_model.resolved import Serving, Side, Task
from embedding_operator.audit.answer_values import AnswerValues

KIND: Final = "check"
MIN_COSINE: Final = 0.999
SCORE_TOLERANCE: Final = 0.02
LONGEST_TOKENS: Final = 512
TOKENS_OF_A_WORD: Final = 4  # at most, but for rare words; a prompt and special tokens have room in it

TEXTS: Final = (
    "Where is the nearest railway station?",
    "水",
    "Der schnelle braune Fuchs springt über den faulen Hund, und niemand weiß, warum er das jeden Morgen wieder tut.",
    "A library lends books. Readers bring them back within four weeks, or ask for another four; what others wait for "
    "has to come back in time. Who keeps a book for longer pays a small fee for every day, and borrows nothing until "
    "the book is there again. Newspapers and maps stay in the reading room, which is open until ten in the evening.",
)
_ENDINGS: Final = ("The end is here.", "Something quite different comes last, and is longer.")
_SHARED_CHECKS: Final = 256  # as there are models with other limits


@dataclass(frozen=True)
class Checks:
    """What is asked: `lone` by itself, `fixed` and `truncated` among all other questions of the audit."""

    lone: Question
    fixed: tuple[Question, ...]
    truncated: tuple[Question, ...]

    @property
    def together(self) -> tuple[Question, ...]:
        return (*self.fixed, *self.truncated)


def list_checks(serving: Serving) -> Checks:
    return _list_checks(serving.task, limit=serving.max_input_tokens, side=serving.truncation_side)


@lru_cache(maxsize=_SHARED_CHECKS)
def _list_checks(task: Task, *, limit: int, side: Side) -> Checks:
    if task is Task.RERANKING:
        query, *others = TEXTS
        documents = tuple(text for text in others if _fits(query, text, limit=limit)) or (TEXTS[1],)
        ranked = Question(kind=QuestionKind.RERANK, text=query, documents=documents)
        return Checks(ranked.model_copy(update={"documents": documents[:1]}), (ranked,), ())
    kind = _KINDS[task]
    texts = [text for text in TEXTS if _fits(text, limit=limit)] or [TEXTS[1]]
    fixed = tuple(Question(kind=kind, text=text) for text in texts)
    return Checks(fixed[0], fixed, tuple(_list_truncated(kind, limit=limit, side=side)))


def judge_checks(
    checks: Checks, *, serving: Serving, lone: Answer, together: Sequence[Answer]
) -> tuple[CaseResult, ...]:
    """`together` answers `checks.together`. One result for each check that needs no other pod and could be made."""
    fixed, truncated = together[: len(checks.fixed)], together[len(checks.fixed) :]
    read = [_read(answer, question=question) for answer, question in zip(fixed, checks.fixed, strict=True)]
    alone = _read(lone, question=checks.lone)
    defect = next((item for item in (alone, *read) if isinstance(item, str)), None)
    results = [_result("answers", passed=defect is None, detail=defect or "every question has an answer of its kind")]
    if defect is not None or isinstance(alone, str):
        return tuple(results)
    values = [item for item in read if not isinstance(item, str)]
    if serving.task is Task.EMBEDDING:
        results += _judge_vectors(values, serving=serving)
    among = AnswerValues(values[0].numbers[:1]) if serving.task is Task.RERANKING else values[0]
    results.append(compare_answers("batch", alone, among, task=serving.task, what="one text alone and among others"))
    results += _judge_truncation(checks, answers=truncated, task=serving.task)
    return tuple(results)


def read_fixed(checks: Checks, *, together: Sequence[Answer]) -> Sequence[AnswerValues]:
    """Of a pod that passed: what other pods are compared with. `together` as in `judge_checks`."""
    read = [_read(answer, question=question) for answer, question in zip(together, checks.fixed, strict=False)]
    return [values for values in read if not isinstance(values, str)]


def judge_space(answered: str, *, wanted: str) -> CaseResult:
    """Whether the pod computes in the vector space that its labels name."""
    passed = answered == wanted
    detail = f"it serves the vector space {answered}" + ("" if passed else f", and {wanted} was expected")
    return _result("space", passed=passed, detail=detail)


_KINDS: Final[Mapping[Task, QuestionKind]] = {
    Task.EMBEDDING: QuestionKind.EMBED,
    Task.CLASSIFICATION: QuestionKind.CLASSIFY,
    Task.SPARSE: QuestionKind.SPARSE,
}


def _fits(*texts: str, limit: int) -> bool:
    """Whether the model surely reads them whole: a server may refuse what is longer."""
    return sum(len(text.split()) for text in texts) * TOKENS_OF_A_WORD <= limit


def _list_truncated(kind: QuestionKind, *, limit: int, side: Side) -> Iterator[Question]:
    """Two texts of at least one token for each of more words than the model reads, with different ends."""
    if limit > LONGEST_TOKENS:
        return
    words = " ".join((TEXTS[3].split() * LONGEST_TOKENS)[: limit + 8])
    for ending in _ENDINGS:
        parts = (ending, words) if side is Side.LEFT else (words, ending)
        yield Question(kind=kind, text=" ".join(parts))


def _read(answer: Answer, *, question: Question) -> AnswerValues | str:
    """The numbers of an answer, or in words why there are none."""
    if answer.error is not None:
        return answer.error
    values: AnswerValues | None = None
    match question.kind:
        case QuestionKind.EMBED if answer.vector is not None:
            try:
                values = AnswerValues(decode_vector(answer.vector))
            except ValueError as error:
                return f"the answered vector is {error}"
        case QuestionKind.RERANK if answer.scores is not None:
            values = AnswerValues(answer.scores)
            if len(values.numbers) != len(question.documents):
                return f"{len(values.numbers)} scores came for {len(question.documents)} documents"
        case QuestionKind.CLASSIFY if answer.labels is not None:
            values = AnswerValues.of((item.label, item.score) for item in answer.labels)
        case QuestionKind.SPARSE if answer.terms is not None:
            values = AnswerValues.of((item.term, item.weight) for item in answer.terms)
    if values is None:
        return f"the answer is none to a question of the kind {question.kind}"
    # The norm is no finite float32 where one of them is none: they are counted only then.
    bad = 0 if is_finite(values.norm) else sum(not is_finite(value) for value in values.numbers)
    return f"{bad} of the {len(values.numbers)} answered numbers are NaN or infinite" if bad else values


def _judge_vectors(vectors: Sequence[AnswerValues], *, serving: Serving) -> Iterator[CaseResult]:
    if serving.dimensions is not None:
        found = [len(vector.numbers) for vector in vectors]
        wrong = next((dimensions for dimensions in found if dimensions != serving.dimensions), None)
        came = serving.dimensions if wrong is None else wrong
        detail = f"{came} dimensions, {serving.dimensions} expected"
        yield _result("dimensions", passed=wrong is None, detail=detail)
    if serving.normalize:
        error = max(abs(vector.norm - 1) for vector in vectors)
        yield _result(
            "norm",
            passed=error <= NORM_TOLERANCE,
            detail=f"the norm is {error:.6f} from 1, at most {NORM_TOLERANCE} expected",
            measured=error,
            threshold=NORM_TOLERANCE,
        )


def _judge_truncation(checks: Checks, *, answers: Sequence[Answer], task: Task) -> Iterator[CaseResult]:
    if not checks.truncated or all(answer.error is not None for answer in answers):
        return  # a server that refuses what is too long, where it is asked as here, cuts nothing
    a, b = (_read(answer, question=question) for answer, question in zip(answers, checks.truncated, strict=True))
    if isinstance(a, str) or isinstance(b, str):
        yield _result("truncation", passed=False, detail=a if isinstance(a, str) else str(b))
        return
    yield compare_answers("truncation", a, b, task=task, what="two texts that differ only beyond the maximum length")


def compare_answers(check: str, a: AnswerValues, b: AnswerValues, *, task: Task, what: str) -> CaseResult:
    """Whether they are the same, in the module's sense; `what` they are, in words."""
    if task in (Task.RERANKING, Task.CLASSIFICATION):
        distance = a.distance(b)
        passed = distance <= SCORE_TOLERANCE and a.names_the_same(b)
        detail = f"{what}: scores are {distance:.6f} apart, at most {SCORE_TOLERANCE} expected"
        return _result(check, passed=passed, detail=detail, measured=distance, threshold=SCORE_TOLERANCE)
    cosine = a.cosine(b)
    detail = f"{what}: cosine similarity {cosine:.6f}, at least {MIN_COSINE} expected"
    return _result(check, passed=cosine >= MIN_COSINE, detail=detail, measured=cosine, threshold=MIN_COSINE)


def _result(
    check: str, *, passed: bool, detail: str, measured: float | None = None, threshold: float | None = None
) -> CaseResult:
    return CaseResult(
        name=f"check.{check}",
        kind=KIND,
        passed=passed,
        measured=None if measured is None else f"{measured:.6f}",
        threshold=None if threshold is None else str(threshold),
        detail=detail,
    )
