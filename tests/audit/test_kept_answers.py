"""Answers kept small say of another answer what the whole ones say."""

from random import Random

import pytest

from embedding_operator.audit.answer_values import AnswerValues
from embedding_operator.audit.kept_answers import KeptAnswer


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_a_vector_keeps_its_direction_and_its_size_whatever_that_is(scale: float) -> None:
    rng = Random(3)
    values = AnswerValues([rng.gauss(0, scale) for _ in range(4096)])
    kept = KeptAnswer.keep(values)
    read = kept.read()
    assert len(kept.halves) == 8192
    assert values.cosine(read) > 1 - 1e-6
    assert read.norm == pytest.approx(values.norm, rel=1e-4)


def test_terms_and_labels_keep_their_names() -> None:
    values = AnswerValues.of([("rain", 1.5), ("sea", 0.25), ("the", 0.0)])
    read = KeptAnswer.keep(values).read()
    assert read.names == values.names
    assert read.numbers == pytest.approx(values.numbers, abs=1e-3)


def test_scores_of_documents_are_read_in_their_order() -> None:
    read = KeptAnswer.keep(AnswerValues([-8.0, 4.0])).read()
    assert (read.names, read.numbers) == (None, [-8.0, 4.0])


@pytest.mark.parametrize("numbers", [[], [0.0, 0.0]])
def test_nothing_and_zeros_are_what_they_were(numbers: list[float]) -> None:
    assert KeptAnswer.keep(AnswerValues(numbers)).read().numbers == numbers
