"""The vectors of tokens against sentence-transformers' token_embeddings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import seeded_models
from loaded_model import Loaded
from parity import TEXTS, arranged, load_reference

from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Output, Part

WANTS = frozenset({Part.TOKEN_VECTORS})


def join(outputs: Sequence[Output]) -> np.ndarray:
    """The vectors of all texts one after another, float32 [tokens, width]."""
    return np.concatenate([output.token_vectors for output in outputs if output.token_vectors is not None])


@pytest.mark.parametrize("family", ["bert", "modernbert", "xlm-roberta"])
def test_every_token_has_the_vector_of_the_reference(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family)
    expected = load_reference(folder).encode(list(TEXTS), output_value="token_embeddings", show_progress_bar=False)
    wanted = np.concatenate([rows.numpy() for rows in expected])

    for arrangement, found in arranged(Loaded(folder), [Text(text, wants=WANTS) for text in TEXTS], finish=join):
        np.testing.assert_allclose(found, wanted, atol=2e-4, err_msg=arrangement)
