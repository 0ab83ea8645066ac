"""SPLADE against sentence-transformers' SparseEncoder."""

from pathlib import Path

import numpy as np
import pytest
from loaded_model import Loaded
from parity import TEXTS, assert_outputs_equal
from sparse_models import build_splade, encode_by_reference, load_sparse_reference, spread

from embedding_model.resolved import Task
from embedding_model.served import SERVED
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output

TOLERANCE = 1e-4


@pytest.mark.parametrize("family", sorted(family for family, tasks in SERVED.items() if Task.SPARSE in tasks))
def test_every_family_equals_the_reference_in_every_arrangement(family: str, tmp_path: Path) -> None:
    folder = build_splade(tmp_path, family=family)
    expected = encode_by_reference(load_sparse_reference(folder), TEXTS)
    model = Loaded(folder)

    def to_rows(_: Loaded, outputs: list[Output]) -> np.ndarray:
        return spread(outputs, size=expected.shape[1])

    assert 0.01 < (expected > 0).mean() < 0.99, "some tokens must count and others not"
    assert_outputs_equal(model, [Text(text) for text in TEXTS], expected=expected, score=to_rows, tolerance=TOLERANCE)
