"""Built-in checks of wall two: what healthy models of every task answer passes, and each defect is named."""

import math
from collections.abc import Callable, Sequence

import pytest
from audited_pods import DIMENSIONS, SERVING, answer_rightly, embed

from embedding_model.goldens.compare import encode_vector
from embedding_model.goldens.questions import Answer, LabelScore, Question, TermWeight
from embedding_model.ports import CaseResult
from embedding_model.resolved import Serving, Side, Task
from embedding_operator.audit.checks import LONGEST_TOKENS, compare_answers, judge_checks, list_checks, read_fixed

Compute = Callable[[Question], Answer]
SHORT = SERVING.model_copy(update={"max_input_tokens": 32})
RERANKER = Serving(task=Task.RERANKING, max_input_tokens=512, lowercase=False)
CLASSIFIER = Serving(task=Task.CLASSIFICATION, max_input_tokens=100_000, lowercase=False)
SPARSE = Serving(task=Task.SPARSE, dimensions=30_522, max_input_tokens=100_000, lowercase=False)


def read_first_words(count: int, *, side: Side = Side.RIGHT) -> Compute:
    """A model that reads so many words of a text."""

    def answer(question: Question) -> Answer:
        words = question.text.split()
        kept = words[:count] if side is Side.RIGHT else words[-count:]
        return Answer(vector=encode_vector(embed(" ".join(kept))))

    return answer


def score(question: Question) -> Answer:
    return Answer(scores=tuple(float(len(document) % 7) for document in question.documents))


def label(question: Question) -> Answer:
    good = (len(question.text) % 10) / 10
    return Answer(labels=(LabelScore(label="good", score=good), LabelScore(label="bad", score=1 - good)))


def weigh(question: Question) -> Answer:
    return Answer(terms=tuple(TermWeight(term=word, weight=1.0 + len(word)) for word in set(question.text.split())))


def judge(serving: Serving, compute: Compute, *, alone: Compute | None = None) -> Sequence[CaseResult]:
    checks = list_checks(serving)
    return judge_checks(
        checks,
        serving=serving,
        lone=(alone or compute)(checks.lone),
        together=[compute(question) for question in checks.together],
    )


def failed(results: Sequence[CaseResult]) -> list[str]:
    return [result.name for result in results if not result.passed]


@pytest.mark.parametrize(
    ("serving", "compute", "names"),
    [
        (SERVING, answer_rightly, {"answers", "dimensions", "norm", "batch"}),
        (SHORT, read_first_words(32), {"answers", "dimensions", "norm", "batch", "truncation"}),
        (RERANKER, score, {"answers", "batch"}),
        (CLASSIFIER, label, {"answers", "batch"}),
        (SPARSE, weigh, {"answers", "batch"}),
    ],
    ids=["embedder", "embedder of short texts", "reranker", "classifier", "sparse embedder"],
)
def test_a_healthy_model_passes_every_check_of_its_task(serving: Serving, compute: Compute, names: set[str]) -> None:
    results = judge(serving, compute)
    assert failed(results) == []
    assert {result.name for result in results} == {f"check.{name}" for name in names}
    assert {result.kind for result in results} == {"check"}


def scale(factor: float) -> Compute:
    return lambda question: Answer(vector=encode_vector(factor * value for value in embed(question.text)))


def test_a_norm_other_than_one_is_named_where_the_model_normalises() -> None:
    results = judge(SERVING, scale(2.0))
    assert failed(results) == ["check.norm"]
    [result] = [result for result in results if not result.passed]
    assert (result.measured, result.threshold) == ("1.000000", "0.01")
    free = SERVING.model_copy(update={"normalize": False})
    assert failed(judge(free, scale(2.0))) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_named(bad: float) -> None:
    results = judge(SERVING, lambda question: Answer(vector=encode_vector([bad, *embed(question.text)[1:]])))
    assert failed(results) == ["check.answers"]
    assert results[0].detail == f"1 of the {DIMENSIONS} answered numbers are NaN or infinite"
    assert failed(judge(RERANKER, lambda question: Answer(scores=(bad,) * len(question.documents)))) == [
        "check.answers"
    ]


def test_other_dimensions_are_named() -> None:
    results = judge(SERVING, lambda question: Answer(vector=encode_vector([1.0])))
    assert failed(results) == ["check.dimensions"]
    assert "1 dimensions, 8 expected" in [result.detail for result in results]


@pytest.mark.parametrize(
    ("serving", "compute", "alone"),
    [
        (SERVING, answer_rightly, lambda question: answer_rightly(question.model_copy(update={"text": "x"}))),
        (RERANKER, score, lambda question: Answer(scores=(9.0,))),
        (CLASSIFIER, label, lambda question: Answer(labels=(LabelScore(label="good", score=0.33),))),
        (SPARSE, weigh, lambda question: Answer(terms=())),
    ],
)
def test_an_answer_that_depends_on_its_neighbours_is_named(serving: Serving, compute: Compute, alone: Compute) -> None:
    assert failed(judge(serving, compute, alone=alone)) == ["check.batch"]


@pytest.mark.parametrize(
    ("serving", "compute", "other"),
    [
        (SERVING, answer_rightly, scale(-1.0)),
        (RERANKER, score, lambda question: Answer(scores=(0.5,) * len(question.documents))),
        (CLASSIFIER, label, lambda question: Answer(labels=(LabelScore(label="other", score=1.0),))),
        (SPARSE, weigh, lambda question: Answer(terms=(TermWeight(term="other", weight=1.0),))),
    ],
)
def test_answers_of_two_pods_that_differ_are_told_from_those_that_do_not(
    serving: Serving, compute: Compute, other: Compute
) -> None:
    checks = list_checks(serving)
    mine, again, theirs = (
        read_fixed(checks, together=[answer(question) for question in checks.together])[0]
        for answer in (compute, compute, other)
    )
    what = "pod other and this one"
    assert compare_answers("replicas", mine, again, task=serving.task, what=what).passed
    result = compare_answers("replicas", mine, theirs, task=serving.task, what=what)
    assert (result.name, result.passed) == ("check.replicas", False)
    assert result.detail.startswith(f"{what}: ")


def test_what_is_beyond_the_maximum_length_must_not_count() -> None:
    assert failed(judge(SHORT, read_first_words(10_000))) == ["check.truncation"]
    left = SHORT.model_copy(update={"truncation_side": Side.LEFT})
    assert failed(judge(left, read_first_words(32, side=Side.LEFT))) == []
    assert failed(judge(left, read_first_words(32))) == ["check.truncation"]


def test_a_server_that_refuses_long_texts_cuts_nothing_and_one_that_refuses_one_of_two_fails() -> None:
    def refuse(question: Question) -> Answer:
        is_long = len(question.text.split()) > SHORT.max_input_tokens
        return Answer(error="answered with status 400") if is_long else answer_rightly(question)

    assert failed(judge(SHORT, refuse)) == []
    once = iter([Answer(error="answered with status 500")])

    def refuse_one(question: Question) -> Answer:
        is_long = len(question.text.split()) > SHORT.max_input_tokens
        return next(once, read_first_words(32)(question)) if is_long else answer_rightly(question)

    assert failed(judge(SHORT, refuse_one)) == ["check.truncation"]


def test_long_texts_are_asked_only_of_models_that_read_little() -> None:
    limit = SERVING.model_copy(update={"max_input_tokens": LONGEST_TOKENS})
    assert len(list_checks(limit).truncated) == 2
    assert list_checks(limit.model_copy(update={"max_input_tokens": LONGEST_TOKENS + 1})).truncated == ()
    assert all(len(question.text.split()) > LONGEST_TOKENS for question in list_checks(limit).truncated)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(error="answered with status 500: no message"),
        Answer(scores=(1.0,)),
        Answer(vector="not base64"),
        Answer(vector="AAA="),
    ],
)
def test_an_answer_of_another_kind_or_none_fails_in_words(answer: Answer) -> None:
    results = judge(SERVING, lambda question: answer)
    assert failed(results) == ["check.answers"]
    assert len(results) == 1, "there is nothing to compare"


def test_vectors_that_are_zero_are_equal_to_themselves_alone() -> None:
    free = SERVING.model_copy(update={"normalize": False})
    zero: Compute = lambda question: Answer(vector=encode_vector([0.0] * DIMENSIONS))  # noqa: E731
    assert failed(judge(free, zero)) == []
    assert failed(judge(free, zero, alone=answer_rightly)) == ["check.batch"]
