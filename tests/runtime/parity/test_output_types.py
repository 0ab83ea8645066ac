"""Packed signs against sentence-transformers' quantize_embeddings."""

import numpy as np
import pytest
from sentence_transformers.util import quantize_embeddings

from embedding_runtime.core.output_types import OutputType, convert


@pytest.mark.parametrize("output", [OutputType.BINARY, OutputType.UBINARY])
def test_signs_are_packed_as_by_the_reference(output: OutputType) -> None:
    random = np.random.default_rng(3).standard_normal((20, 32)).astype(np.float32)
    vectors = np.concatenate([random, np.zeros((1, 32), dtype=np.float32)])
    expected = quantize_embeddings(vectors, precision=output.value)
    found = convert(vectors, output=output)
    assert found.dtype == expected.dtype
    assert (found == expected).all()
