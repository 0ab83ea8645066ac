"""The numbers of sentence-transformers, alone and in any batch, on real models."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_under_test import embed_texts

from embedding_runtime.core.telemetry import Silent
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.settings import ServeSettings

EXACT = 0.9999  # what the product promises in float32


def cosines(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return (found * expected).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)


@pytest.mark.parametrize(("model", "step"), [("minilm_folder", 1), ("sre_folder", 5)])
async def test_vectors_equal_the_reference_alone_and_in_any_batch(
    model: str, step: int, texts: list[str], reference: Callable[[Path], Any], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    texts = texts[::step]
    expected = reference(folder).encode(texts, show_progress_bar=False)
    few = range(0, len(texts), 10)
    opened = await open_model(ServeSettings(model=folder), load=load_model, telemetry=Silent())
    try:
        together = await embed_texts(opened, texts)
        alone = np.concatenate([(await embed_texts(opened, [texts[index]])).vectors for index in few])
        shuffled = np.random.default_rng(1).permutation(len(texts))
        mixed = await asyncio.gather(*(embed_texts(opened, [texts[index]]) for index in shuffled))
    finally:
        opened.close()

    assert cosines(together.vectors, expected).min() >= EXACT
    assert cosines(alone, expected[few]).min() >= EXACT
    assert cosines(np.concatenate([answer.vectors for answer in mixed]), expected[shuffled]).min() >= EXACT
    np.testing.assert_allclose(together.vectors, expected, atol=2e-6)
    assert opened.loaded.path == "native BertEncoder"
    assert together.measured.truncated > 0, "some texts must be longer than the model's maximum"


async def test_half_precision_stays_close_to_the_reference(
    minilm_folder: Path, texts: list[str], reference: Callable[[Path], Any]
) -> None:
    from embedding_runtime.settings import Dtype

    texts = texts[::10]
    expected = reference(minilm_folder).encode(texts, show_progress_bar=False)
    settings = ServeSettings(model=minilm_folder, dtype=Dtype.BFLOAT16)
    opened = await open_model(settings, load=load_model, telemetry=Silent())
    try:
        found = await embed_texts(opened, texts)
    finally:
        opened.close()
    assert cosines(found.vectors, expected).min() >= 0.999
