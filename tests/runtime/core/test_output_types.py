"""Vectors in fewer bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from runtime_under_test import resolved_model

from embedding_runtime.core.output_types import OutputType, convert, require_types
from embedding_runtime.errors import InvalidRequest


def test_signs_are_packed_with_the_first_value_highest_and_zero_is_not_above_zero() -> None:
    vectors = np.float32([[0.1, -0.2, 0, 0.3, -1, 1, -0.0, 1e-9], [1] * 8, [-1] * 8])
    assert convert(vectors, output=OutputType.UBINARY).tolist() == [[0b10010101], [255], [0]]
    assert convert(vectors, output=OutputType.BINARY).tolist() == [[0b10010101 - 128], [127], [-128]]


def test_bytes_keep_the_cosines() -> None:
    random = np.random.default_rng(3).standard_normal((20, 64)).astype(np.float32)
    unit = random / np.linalg.norm(random, axis=1, keepdims=True)
    signed = convert(unit, output=OutputType.INT8).astype(np.float32)
    signed /= np.linalg.norm(signed, axis=1, keepdims=True)
    np.testing.assert_allclose(signed @ signed.T, unit @ unit.T, atol=0.02)


@given(arrays.arrays(np.float32, (3, 8), elements=st.floats(-1, 1, width=32)))
def test_bytes_of_values_within_the_unit_interval_never_overflow(vectors: np.ndarray) -> None:
    signed = convert(vectors, output=OutputType.INT8).astype(int)
    np.testing.assert_allclose(signed / 127, vectors, atol=0.5 / 127 + 1e-6)
    assert (convert(vectors, output=OutputType.UINT8).astype(int) - 128 == signed).all()


@pytest.mark.parametrize("output", list(OutputType))
@pytest.mark.parametrize("dimensions", [None, 4])
@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("normalize", [None, True, False])
def test_what_does_not_fit_is_refused_before_it_is_computed(
    output: OutputType, dimensions: int | None, served: bool, normalize: bool | None
) -> None:
    serving = resolved_model(normalize=served).serving
    signs = output in (OutputType.BINARY, OutputType.UBINARY)
    integers = output in (OutputType.INT8, OutputType.UINT8)
    is_unit = served if normalize is None else normalize
    if (signs and dimensions == 4) or (integers and not is_unit):
        with pytest.raises(InvalidRequest):
            require_types({output, OutputType.FLOAT}, serving=serving, dimensions=dimensions, normalize=normalize)
    else:
        require_types({output, OutputType.FLOAT}, serving=serving, dimensions=dimensions, normalize=normalize)
