"""How far two answers are apart, whatever their numbers stand for."""

import math

import pytest

from embedding_operator.audit.answer_values import AnswerValues

NOTHING = AnswerValues([])


@pytest.mark.parametrize(
    ("a", "b", "cosine"),
    [
        (AnswerValues([3.0, 4.0]), AnswerValues([6.0, 8.0]), 1.0),
        (AnswerValues([1.0, 0.0]), AnswerValues([0.0, 2.0]), 0.0),
        (AnswerValues([1.0]), AnswerValues([3.0, 4.0]), 0.6),
        (AnswerValues.of([("sea", 3.0), ("rain", 4.0)]), AnswerValues.of([("rain", 8.0), ("sea", 6.0)]), 1.0),
        (AnswerValues.of([("sea", 1.0)]), AnswerValues.of([("rain", 4.0), ("sea", 3.0)]), 0.6),
        (AnswerValues.of([("sea", 1.0)]), AnswerValues.of([("rain", 1.0)]), 0.0),
        (AnswerValues([0.0]), AnswerValues([0.0]), 1.0),
        (AnswerValues([0.0]), AnswerValues([1.0]), 0.0),
        (NOTHING, NOTHING, 1.0),
        (NOTHING, AnswerValues([1.0]), 0.0),
        (AnswerValues.of([("sea", 1e-200)]), AnswerValues.of([("sea", 1e-200)]), 0.0),
    ],
)
def test_the_cosine_of_two_answers_counts_what_only_one_has_as_nothing(
    a: AnswerValues, b: AnswerValues, cosine: float
) -> None:
    assert a.cosine(b) == pytest.approx(cosine)
    assert b.cosine(a) == pytest.approx(cosine)


@pytest.mark.parametrize(
    ("a", "b", "distance", "is_same"),
    [
        (AnswerValues([0.5, 0.25]), AnswerValues([0.5, 0.0]), 0.25, True),
        (AnswerValues([8.0]), AnswerValues([4.0]), 0.5, True),
        (AnswerValues([0.5]), AnswerValues([0.5, 0.25]), 0.25, False),
        (AnswerValues.of([("good", 0.75), ("bad", 0.25)]), AnswerValues.of([("bad", 0.25), ("good", 0.5)]), 0.25, True),
        (AnswerValues.of([("good", 0.5)]), AnswerValues.of([("bad", 0.5)]), 0.5, False),
        (NOTHING, NOTHING, 0.0, True),
    ],
)
def test_the_distance_of_two_answers_is_the_largest_difference_and_the_names_are_compared_apart(
    a: AnswerValues, b: AnswerValues, distance: float, is_same: bool
) -> None:
    assert (a.distance(b), b.distance(a)) == (distance, distance)
    assert (a.names_the_same(b), b.names_the_same(a)) == (is_same, is_same)


def test_of_two_numbers_of_one_name_the_last_counts() -> None:
    values = AnswerValues.of([("sea", 1.0), ("sea", 2.0)])
    assert (values.names, values.numbers) == (("sea",), (2.0,))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_norm_of_numbers_that_are_not_finite_is_not(bad: float) -> None:
    assert not math.isfinite(AnswerValues([1.0, bad]).norm)
