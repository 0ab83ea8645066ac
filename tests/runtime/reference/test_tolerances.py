"""Tolerances of scores and weights."""

import numpy as np
import pytest

from embedding_model.refusal import Refusal
from embedding_runtime.reference.tolerances import (
    LEAST,
    MOST,
    MOST_SHARE,
    SAFETY,
    measure_share,
    measure_tolerance,
    write_decimal,
    write_decimal_down,
)

EXACT = np.array([0.1, 0.5, 0.9], dtype=np.float32)


def test_the_tolerance_is_some_times_the_largest_difference_that_half_precision_makes() -> None:
    rounded = EXACT + np.array([0.001, -0.004, 0.002], dtype=np.float32)
    assert measure_tolerance(EXACT, rounded=rounded, scale=1) == pytest.approx(SAFETY * 0.004, rel=1e-3)


def test_neither_luck_nor_noise_moves_it_out_of_its_bounds() -> None:
    assert measure_tolerance(EXACT, rounded=EXACT, scale=1) == LEAST
    assert measure_tolerance(EXACT, rounded=None, scale=10) == LEAST * 10
    assert measure_tolerance(EXACT, rounded=EXACT + 1, scale=1) == MOST
    assert measure_tolerance(EXACT, rounded=EXACT * np.float32("nan"), scale=1) == MOST


def test_weights_are_measured_by_their_own_size() -> None:
    rounded = EXACT * np.array([1.01, 1, 1], dtype=np.float32)
    assert measure_share(EXACT, rounded=rounded) == pytest.approx(SAFETY * 0.01, rel=1e-3)
    assert measure_share(EXACT, rounded=None) == LEAST
    assert measure_share(EXACT, rounded=2 * EXACT) == MOST_SHARE


def test_numbers_are_written_as_golden_cases_hold_them() -> None:
    assert write_decimal(-1.23456789) == "-1.234568"
    assert write_decimal_down(0.9999999) == "0.999999"
    for value in (-1000.5, 999.9999999, float("nan")):
        with pytest.raises(Refusal, match="1000 and more"):
            write_decimal(value)
