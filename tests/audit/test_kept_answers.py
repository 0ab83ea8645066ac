"""Answers kept small say of another answer what the whole ones say."""

import math
from random import Random

import pytest

from embedding_operator.audit.kept_answers import KeptAnswer


def cosine(a: dict[int | str, float], b: dict[int | str, float]) -> float:
    dot = math.fsum(value * b[name] for name, value in a.items())
    return dot / math.hypot(*a.values()) / math.hypot(*b.values())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_a_vector_keeps_its_direction_and_its_size_whatever_that_is(scale: float) -> None:
    rng = Random(3)
    values: dict[int | str, float] = {number: rng.gauss(0, scale) for number in range(4096)}
    kept = KeptAnswer.keep(values)
    read = dict(kept.read())
    assert len(kept.halves) == 8192
    assert cosine(values, read) > 1 - 1e-6
    assert math.hypot(*read.values()) == pytest.approx(math.hypot(*values.values()), rel=1e-4)


def test_terms_and_labels_keep_their_names() -> None:
    values: dict[int | str, float] = {"rain": 1.5, "sea": 0.25, "the": 0.0}
    assert dict(KeptAnswer.keep(values).read()) == pytest.approx(values, abs=1e-3)


def test_scores_of_documents_are_read_by_their_number() -> None:
    assert dict(KeptAnswer.keep({0: -8.0, 1: 4.0}).read()) == {0: -8.0, 1: 4.0}


@pytest.mark.parametrize("values", [{}, {0: 0.0, 1: 0.0}])
def test_nothing_and_zeros_are_what_they_were(values: dict[int | str, float]) -> None:
    assert dict(KeptAnswer.keep(values).read()) == values
