"""Every family that this version serves: an embedder of it comes to Ready and answers as its reference does.

Many minutes: `make soak`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
from jina_bert_formula import Formula
from models_under_test import Served, cosine, vector_golden
from parity import EXACT, load_reference
from seeded_models.jina_bert import build_jina_bert

from embedding_model.served import SERVED

pytestmark = pytest.mark.soak

TEXTS = (
    "The weather is lovely today.",
    "What is the capital of France?",
    "the quick brown fox jumps over the lazy dog near the river",
    "x",
)
NOT_IN_TRANSFORMERS = {"jina_bert": "gated", "jina_bert_code": "code"}


def build(folder: Path, *, family: str) -> Path:
    if family in NOT_IN_TRANSFORMERS:
        return build_jina_bert(folder, layout=NOT_IN_TRANSFORMERS[family])
    pooling = "lasttoken" if family in seeded_models.DECODERS else "mean"
    return seeded_models.build(folder, family=family, pooling=pooling)


def compute_expected(folder: Path, *, family: str, texts: Sequence[str]) -> Any:
    """float32 [texts, dimensions], each text alone: no batch of the reference's shall move a number."""
    if family in NOT_IN_TRANSFORMERS:
        formula = Formula(folder)
        return np.stack([formula.mean(text) for text in texts]).astype(np.float32)
    return load_reference(folder).encode(list(texts), batch_size=1, show_progress_bar=False)


@pytest.mark.parametrize("family", sorted(SERVED))
def test_a_model_of_the_family_is_ready_and_equals_its_reference(
    family: str, serve_folder: Callable[..., Served], tmp_path: Path
) -> None:
    folder = build(tmp_path / "model", family=family)
    expected = compute_expected(folder, family=family, texts=TEXTS)
    golden = vector_golden("first", text=TEXTS[0], vector=expected[0])

    served = serve_folder(
        folder,
        f"tiny-{family.replace('_', '-')}",
        verification={"goldens": [golden], "minCosineSimilarity": str(EXACT)},
    )

    assert served.status["model"]["family"] == family
    assert served.status["verification"]["passed"] == 1
    assert min(map(cosine, served.embed(TEXTS), expected)) >= EXACT
