"""What turns the logits of labels into scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from embedding_model.resolved import Activation
from embedding_runtime.core.classification import activate, read_logits
from embedding_runtime.core.jobs import Output
from embedding_runtime.errors import NonFiniteOutput

LOGITS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(LOGITS)
def test_probabilities_of_labels_that_exclude_each_other_sum_to_one(logits: np.ndarray) -> None:
    scores = activate(logits, activation=Activation.SOFTMAX)

    exact = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(scores, exact / exact.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert scores.dtype == np.float32


@given(LOGITS)
def test_labels_that_do_not_exclude_each_other_have_scores_of_their_own(logits: np.ndarray) -> None:
    scores = activate(logits, activation=Activation.SIGMOID)

    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-logits.astype(np.float64)))
    np.testing.assert_allclose(scores, exact, atol=1e-6)
    assert scores.dtype == np.float32


@given(LOGITS)
def test_a_regression_answers_what_the_model_says(logits: np.ndarray) -> None:
    assert activate(logits, activation=Activation.IDENTITY).tolist() == logits.tolist()
    np.testing.assert_allclose(activate(logits, activation=Activation.TANH), np.tanh(logits), atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_an_error(value: float) -> None:
    fine, broken = (Output(dense=np.array([1, last], dtype=np.float32)) for last in (2, value))

    assert read_logits([fine]).tolist() == [[1, 2]]
    with pytest.raises(NonFiniteOutput):
        read_logits([fine, broken])
