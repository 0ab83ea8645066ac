"""The answers of a pod, judged for every kind of golden case."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_model.goldens.cases import (
    GoldenCase,
    LabelCase,
    RankingCase,
    ScoreCase,
    SimilarityCase,
    SparseCase,
    Term,
    VectorCase,
)
from embedding_model.goldens.compare import encode_vector, judge_case
from embedding_model.goldens.questions import Answer, LabelScore, TermWeight, list_questions

VECTOR = VectorCase(name="v", input="SECRET", vector=encode_vector([0.6, 0.8]), min_cosine_similarity="0.999")
PAIR = SimilarityCase(name="p", a="SECRET", b="SECRET", expected="0.6", tolerance="0.005")
RANKING = RankingCase(name="r", query="SECRET", documents=("SECRET",) * 3, order=(2, 0, 1), min_gap="0.1")
SCORE = ScoreCase(name="s", query="SECRET", document="SECRET", expected="-1.5", tolerance="0.01")
LABEL = LabelCase(name="l", input="SECRET", label="joy", expected="0.9", tolerance="0.05")
BEST_LABEL = LabelCase(name="b", input="SECRET", label="joy")
SPARSE = SparseCase(
    name="t",
    input="SECRET",
    terms=(Term(term="SECRET1", weight="2"), Term(term="SECRET2", weight="1.5"), Term(term="SECRET3", weight="1")),
    tolerance="0.1",
)
CASES: tuple[GoldenCase, ...] = (VECTOR, PAIR, RANKING, SCORE, LABEL, BEST_LABEL, SPARSE)


def vector(*values: float) -> Answer:
    return Answer(vector=encode_vector(values))


def scores(*values: float) -> Answer:
    return Answer(scores=values)


def labels(**by_label: float) -> Answer:
    return Answer(labels=tuple(LabelScore(label=label, score=score) for label, score in by_label.items()))


def terms(**by_term: float) -> Answer:
    return Answer(terms=tuple(TermWeight(term=term, weight=weight) for term, weight in by_term.items()))


GOOD: tuple[tuple[GoldenCase, tuple[Answer, ...], str, str], ...] = (
    (VECTOR, (vector(0.6, 0.8),), "1.000000", "0.999"),
    (PAIR, (vector(1.0, 0.0), vector(0.6, 0.8)), "0.000000", "0.005"),
    (RANKING, (scores(0.5, 0.25, 0.75),), "0.250000", "0.1"),
    (SCORE, (scores(-1.505),), "0.005000", "0.01"),
    (LABEL, (labels(joy=0.875, anger=0.125),), "0.025000", "0.05"),
    (BEST_LABEL, (labels(anger=0.1, joy=0.2),), "0.000000", "0"),
    (SPARSE, (terms(SECRET1=2.1, SECRET2=1.5, SECRET3=1.0, other=0.5),), "0.050000", "0.1"),
)


@pytest.mark.parametrize(
    ("case", "answers", "measured", "threshold"), GOOD, ids=[f"{case.kind}-{case.name}" for case, *_ in GOOD]
)
def test_the_expected_answer_passes(case: GoldenCase, answers: Sequence[Answer], measured: str, threshold: str) -> None:
    result = judge_case(case, answers)
    assert (result.name, result.kind, result.passed) == (case.name, case.kind, True)
    assert (result.measured, result.threshold) == (measured, threshold)
    assert result.detail


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_error_is_a_failed_case_with_its_words(case: GoldenCase) -> None:
    error = Answer(error="the model is not loaded")
    result = judge_case(case, (error,) * len(list_questions(case)))
    assert (result.passed, result.measured, result.detail) == (False, None, "the model is not loaded")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_answer_too_few_or_too_many_is_a_failed_case(case: GoldenCase, count: int) -> None:
    result = judge_case(case, (Answer(),) * count)
    asked = len(list_questions(case))
    assert not result.passed
    assert result.detail == f"{count} answers came to {asked} questions" or count == asked


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_of_another_kind_is_a_failed_case(case: GoldenCase) -> None:
    others = [answers for other, answers, *_ in GOOD if list_questions(other)[0].kind != list_questions(case)[0].kind]
    for answers in others:
        result = judge_case(case, (answers[0],) * len(list_questions(case)))
        assert (result.passed, result.measured) == (False, None)
        assert result.detail.startswith("the answer holds no ")


@pytest.mark.parametrize(
    ("answered", "says"),
    [
        ("%%%", "the answered vector is not base64 (standard alphabet, with padding)"),
        ("AAAA", "the answered vector is 3 bytes, which is not a multiple of the 4 bytes of a float32"),
    ],
)
def test_bytes_that_are_no_vector_fail(answered: str, says: str) -> None:
    assert judge_case(VECTOR, [Answer(vector=answered)]).detail == says
    assert judge_case(PAIR, [vector(1.0), Answer(vector=answered)]).detail == says


@pytest.mark.parametrize(
    ("answered", "passed", "measured", "says"),
    [
        ((0.5, 0.4, 0.6), True, "0.100000", "every document scores at least 0.100000 above the next"),
        ((0.5, 0.41, 0.9), False, "0.090000", "at places 2 and 3 are 0.090000 apart, at least 0.1 expected"),
        ((0.9, 0.1, 0.5), False, "-0.400000", "at places 1 and 2 are in the wrong order"),
        ((0.5, 0.1), False, None, "3 documents have 2 scores"),
        ((0.5, math.nan, 0.9), False, None, "1 of the 3 answered scores are NaN or infinite"),
        ((0.5, -math.inf, 0.9), False, None, "1 of the 3 answered scores are NaN or infinite"),
        ((1e308, -1e308, 0.9), False, None, "2 of the 3 answered scores are NaN or infinite"),
    ],
)
def test_a_ranking_holds_with_its_gap(
    answered: tuple[float, ...], passed: bool, measured: str | None, says: str
) -> None:
    result = judge_case(RANKING, [scores(*answered)])
    assert (result.passed, result.measured) == (passed, measured)
    assert says in result.detail


@pytest.mark.parametrize("gap", ["0", "0.000000001"])
def test_equal_scores_are_no_ranking(gap: str) -> None:
    case = RANKING.model_copy(update={"min_gap": gap})
    assert not judge_case(case, [scores(1.0, 1.0, 1.0)]).passed


def test_a_ranking_whose_order_is_no_permutation_fails() -> None:
    case = RANKING.model_copy(update={"order": (0, 0, 1)})
    assert "does not name each" in judge_case(case, [scores(0.5, 0.1, 0.9)]).detail


@pytest.mark.parametrize(
    ("answered", "passed", "measured"),
    [((-1.51,), True, "0.010000"), ((-1.511,), False, "0.011000"), ((1.5,), False, "3.000000"), ((), False, None)]
    + [((bad,), False, None) for bad in (math.nan, math.inf, -math.inf)],
)
def test_a_score_passes_within_its_tolerance(answered: tuple[float, ...], passed: bool, measured: str | None) -> None:
    result = judge_case(SCORE, [scores(*answered)])
    assert (result.passed, result.measured) == (passed, measured)


@pytest.mark.parametrize(
    ("case", "answered", "passed", "measured", "says"),
    [
        (LABEL, {"joy": 0.85, "anger": 0.1}, True, "0.050000", 'score of "joy" 0.850000, expected 0.9 within 0.05'),
        (LABEL, {"joy": 0.8, "anger": 0.1}, False, "0.100000", 'score of "joy" 0.800000, expected 0.9 within 0.05'),
        (LABEL, {"joy": 0.9, "anger": 0.95}, False, "0.050000", 'best label is "anger" with 0.950000, not "joy" with'),
        (BEST_LABEL, {"joy": 0.1, "anger": 0.1}, False, None, '"anger" and "joy" score the same, 0.100000: neither is'),
        (LABEL, {"anger": 0.9, "joy": 0.9, "sadness": 0.1}, True, "0.000000", 'score of "joy" 0.900000'),
        (BEST_LABEL, {"joy": 0.1, "anger": 0.1, "sadness": 0.2}, False, "0.100000", 'best label is "sadness"'),
        (BEST_LABEL, {"joy": 0.10000001, "anger": 0.1}, True, "0.000000", '"joy" is the best label, with 0.100000'),
        (BEST_LABEL, {"joy": 0.1, "anger": 0.10000001}, False, "0.000001", 'best label is "anger"'),
        (BEST_LABEL, {"anger": 0.1}, False, None, "the expected label 0 times among its 1 labels"),
        (BEST_LABEL, {}, False, None, "the answer holds no label"),
        (BEST_LABEL, {"joy": 0.9, "anger": math.nan}, False, None, "1 of the 2 answered scores are NaN"),
    ],
)
def test_a_label_is_the_best_one_with_its_score(
    case: LabelCase, answered: dict[str, float], passed: bool, measured: str | None, says: str
) -> None:
    result = judge_case(case, [labels(**answered)])
    assert (result.passed, result.measured) == (passed, measured)
    assert says in result.detail


def test_a_label_answered_twice_fails() -> None:
    answer = Answer(labels=(LabelScore(label="joy", score=0.9),) * 2)
    assert "the expected label 2 times" in judge_case(LABEL, [answer]).detail


@pytest.mark.parametrize(
    ("answered", "passed", "measured", "says"),
    [
        ({"SECRET1": 1.8, "SECRET2": 1.65, "SECRET3": 0.9}, True, "0.100000", "the 3 heaviest terms are as expected"),
        ({"SECRET1": 2.0, "SECRET2": 1.3, "SECRET3": 1.0}, False, "0.133333", "term 2 of the 3 expected ones weighs"),
        ({"SECRET1": 2.0, "SECRET3": 1.0}, False, "1.000000", "term 2 of the 3 expected ones is not among"),
        (
            {"SECRET1": 2.0, "SECRET2": 1.5, "SECRET3": 1.0, "other": 1.1},
            True,
            "0.100000",
            "the 3 heaviest terms are as expected",
        ),
        (
            {"SECRET1": 2.0, "SECRET2": 1.5, "SECRET3": 1.0, "other": 1.2},
            False,
            "0.200000",
            "a term that is none of the 3 expected ones weighs 1.200000, more than the lightest of them",
        ),
        ({"SECRET1": 2.0, "SECRET2": math.inf, "SECRET3": 1.0}, False, None, "1 of the 3 answered weights are NaN"),
        ({"SECRET1": 2.0, "SECRET2": 1.5, "SECRET3": 1.0, "x": math.nan}, False, None, "1 of the 4 answered weights"),
        ({}, False, "1.000000", "term 1 of the 3 expected ones is not among the answered ones"),
    ],
)
def test_the_heaviest_terms_are_the_expected_ones(
    answered: dict[str, float], passed: bool, measured: str | None, says: str
) -> None:
    result = judge_case(SPARSE, [terms(**answered)])
    assert (result.passed, result.measured) == (passed, measured)
    assert says in result.detail


def test_terms_of_nearly_equal_weights_may_change_places() -> None:
    case = SPARSE.model_copy(update={"terms": (Term(term="a", weight="1.02"), Term(term="b", weight="1"))})
    assert judge_case(case, [terms(b=1.01, a=1.0, c=1.005)]).passed


def test_a_term_answered_twice_fails() -> None:
    answer = Answer(terms=(TermWeight(term="SECRET1", weight=2.0),) * 2)
    assert judge_case(SPARSE, [answer]).detail == "an expected term is answered more than once"


def test_two_tokens_of_one_name_that_nobody_expects_are_no_harm() -> None:
    named_alike = (TermWeight(term="SECRET4", weight=0.5), TermWeight(term="SECRET4", weight=0.25))
    right = terms(SECRET1=2.0, SECRET2=1.5, SECRET3=1.0).terms
    assert right is not None
    assert judge_case(SPARSE, [Answer(terms=(*right, *named_alike))]).passed


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_json_does_not_have_arrives_and_fails(bad: float) -> None:
    for case, answer in ((SCORE, scores(bad)), (LABEL, labels(joy=bad)), (SPARSE, terms(SECRET1=bad))):
        arrived = Answer.from_json(answer.to_json())
        assert "NaN or infinite" in judge_case(case, [arrived]).detail


# Busy machines generate slowly; speed is not what these tests judge.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])
number = st.floats()
label = st.sampled_from(["joy", "anger", "sadness"])  # a model's labels are no user's text
term = st.sampled_from(["SECRET1", "SECRET2", "SECRET3", "SECRET4"])
any_answer = st.one_of(
    st.builds(Answer, vector=st.text(max_size=8)),
    st.builds(lambda values: scores(*values), st.lists(number, max_size=4)),
    st.builds(lambda found: labels(**found), st.dictionaries(label, number)),
    st.builds(lambda found: terms(**found), st.dictionaries(term, number)),
    st.just(Answer()),
)


@unhurried
@given(st.sampled_from(CASES), st.lists(any_answer, max_size=3))
def test_no_answer_makes_the_judgement_raise_or_tell_a_text(case: GoldenCase, answers: list[Answer]) -> None:
    result = judge_case(case, answers)
    assert "SECRET" not in result.to_json().decode()
    if result.measured is not None and isinstance(case, ScoreCase | SparseCase):
        assert (float(result.measured) <= float(result.threshold or "")) is result.passed


weight_lists = st.lists(st.integers(min_value=1, max_value=5000), min_size=1, max_size=30)
tolerances = st.sampled_from(["0.001", "0.02", "0.3"])


@st.composite
def rounded_answers(draw: st.DrawFn) -> tuple[SparseCase, Answer]:
    """The heaviest terms of a vector as a case, and that vector as another number format might give it."""
    weights = sorted((value / 1000 for value in draw(weight_lists)), reverse=True)
    count, tolerance = draw(st.integers(min_value=1, max_value=len(weights))), draw(tolerances)
    expected = tuple(Term(term=f"t{number}", weight=f"{weight:.3f}") for number, weight in enumerate(weights[:count]))
    shares = draw(st.lists(st.floats(-1, 1), min_size=len(weights), max_size=len(weights)))
    answered = tuple(
        TermWeight(term=f"t{number}", weight=weight * (1 + share * float(tolerance)))
        for number, (weight, share) in enumerate(zip(weights, shares, strict=True))
    )
    case = SparseCase(name="t", input="SECRET", terms=expected, tolerance=tolerance)
    return case, Answer(terms=tuple(sorted(answered, key=lambda item: -item.weight)))


@unhurried
@given(rounded_answers())
def test_what_is_off_by_no_more_than_the_tolerance_passes_whichever_terms_change_places(
    rounded: tuple[SparseCase, Answer],
) -> None:
    case, answer = rounded
    assert judge_case(case, [answer]).passed


@unhurried
@given(rounded_answers(), st.data())
def test_one_expected_term_that_is_missing_or_far_too_heavy_fails(
    rounded: tuple[SparseCase, Answer], data: st.DataObject
) -> None:
    case, answer = rounded
    assert answer.terms is not None
    hit = data.draw(st.sampled_from(case.terms)).term
    rest = tuple(item for item in answer.terms if item.term != hit)
    heavy = TermWeight(term=hit, weight=20.0)  # four times the heaviest there can be
    assert not judge_case(case, [Answer(terms=rest)]).passed
    assert not judge_case(case, [Answer(terms=(heavy, *rest))]).passed
