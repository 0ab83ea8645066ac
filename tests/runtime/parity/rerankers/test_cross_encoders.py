"""Rerankers with a classification head give the logits and scores of sentence-transformers' CrossEncoder."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import seeded_models
from parity import assert_scores_equal

from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.resolved import Task
from embedding_model.served import SERVED

HEAD = Head.SEQUENCE_CLASSIFICATION
PAIRS = (
    ("what is the capital of france", "Paris is the capital of France."),
    ("what is the capital of france", "a man is eating food"),
    ("weather", ""),
    ("", "the weather is lovely today"),
    ("", ""),
    ("which pod restarts", "the kubernetes node restarts a pod " * 30),
    ("where is the river", "The quick brown fox jumps over the lazy dog near the river; naïve café"),
    ("x", "y"),
)

ENCODERS = sorted(
    name
    for name, tasks in SERVED.items()
    if Task.RERANKING in tasks and not FAMILIES[name].is_decoder and name in seeded_models.RECIPES
)


def load_reference(folder: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import CrossEncoder

        return CrossEncoder(str(folder), device="cpu", local_files_only=True, **options)


def logits_of(folder: Path, pairs: tuple[tuple[str, str], ...] = PAIRS, **options: Any) -> npt.NDArray[np.float32]:
    import torch

    reference = load_reference(folder, activation_fn=torch.nn.Identity(), **options)
    found: npt.NDArray[np.float32] = reference.predict(list(pairs), show_progress_bar=False)
    return found


@pytest.mark.parametrize("family", ENCODERS)
def test_logits_equal_the_reference_in_every_arrangement(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family, head=HEAD)
    expected = logits_of(folder)
    assert np.ptp(expected) > 0.1, "the pairs must be told apart"
    assert_scores_equal(folder, PAIRS, expected=expected)
