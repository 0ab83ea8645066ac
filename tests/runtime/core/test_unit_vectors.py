"""A vector of finite values has a unit vector, however large they are."""

import numpy as np
import pytest
from runtime_under_test import resolved_model

from embedding_runtime.core.vectors import SMALLEST_NORM, finish

SERVING = resolved_model().serving
WIDE = resolved_model(dimensions=1024, model_dimensions=1024).serving
LARGEST = np.finfo(np.float32).max
SHORTEST = SMALLEST_NORM / 4
DIRECTION = np.float32([[3, 0, -4, 0]])


@pytest.mark.parametrize("scale", [SHORTEST, 1, 1e10, 1e19, 1e30, LARGEST / 4])
def test_a_vector_of_any_finite_length_is_scaled_to_length_1(scale: float) -> None:
    found = finish(DIRECTION * np.float32(scale), serving=SERVING)
    np.testing.assert_allclose(found, [[0.6, 0, -0.8, 0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_a_vector_whose_length_no_float32_holds_is_scaled_to_length_1() -> None:
    found = finish(np.full((1, 1024), LARGEST), serving=WIDE)
    np.testing.assert_allclose(found, 1 / 32, rtol=1e-6)


def test_a_cut_vector_is_scaled_by_what_is_left_of_it() -> None:
    found = finish(np.float32([[3e-10, 4e-10, 1e30, 1e30]]), serving=SERVING, dimensions=2)
    np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-6)


def test_a_zero_vector_stays_zero_and_changes_none_beside_it() -> None:
    found = finish(np.concatenate([np.zeros_like(DIRECTION), DIRECTION * np.float32(1e25)]), serving=SERVING)
    np.testing.assert_allclose(found, [[0, 0, 0, 0], [0.6, 0, -0.8, 0]], rtol=1e-6)


def test_a_vector_that_is_not_to_be_normalised_is_left_as_it_is() -> None:
    large = DIRECTION * np.float32(1e30)
    np.testing.assert_array_equal(finish(large, serving=SERVING, normalize=False), large)
