"""A cross-encoder with meaning, served as a pod serves it: the document that speaks of the query comes first."""

import asyncio
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedding_model.resolved import Activation, Task
from embedding_runtime.core.reranking import Scores, rerank
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.http.dialect import Loaded
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.settings import ServeSettings

RELEVANT = {
    "what is the capital of france": "Paris is the capital of France.",
    "how is the weather today": "It is sunny and the weather is lovely.",
    "why does the pod restart": "Kubernetes restarts the pod when its container fails.",
    "population of Berlin": "Berlin had a population of three million people.",
    "music concert tickets": "Buy tickets for the concert of the orchestra.",
}
DOCUMENTS = [*RELEVANT.values(), "A man is eating food.", "", "the history of the Berlin music scene " * 90]


def load_reference(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementation's own deprecations
        from sentence_transformers import CrossEncoder

        return CrossEncoder(str(folder), device="cpu", local_files_only=True)


async def ask(loaded: Loaded, query: str, documents: list[str], **options: Any) -> Scores:
    return await rerank(loaded.engine, query, documents, resolved=loaded.model.resolved, **options)


async def test_the_right_document_comes_first_with_the_scores_of_the_reference(distilled_folder: Path) -> None:
    opened = await open_model(ServeSettings(model=distilled_folder), load=load_model, telemetry=Silent())
    try:
        loaded = opened.loaded
        answers = await asyncio.gather(*(ask(loaded, query, DOCUMENTS) for query in RELEVANT))
        raw = await ask(loaded, next(iter(RELEVANT)), DOCUMENTS, raw=True)
        alone = [await ask(loaded, next(iter(RELEVANT)), [document]) for document in DOCUMENTS]
    finally:
        opened.close()

    assert (loaded.model.serving.task, loaded.model.serving.activation) == (Task.RERANKING, Activation.SIGMOID)
    reference = load_reference(distilled_folder)
    for (query, right), answer in zip(RELEVANT.items(), answers, strict=True):
        assert DOCUMENTS[answer.order[0]] == right
        expected = reference.predict([(query, document) for document in DOCUMENTS], show_progress_bar=False)
        np.testing.assert_allclose(answer.scores, expected, atol=1e-4)
    np.testing.assert_allclose(answers[0].scores, 1 / (1 + np.exp(-raw.scores)), atol=1e-6)
    assert raw.scores[raw.order[0]] > 0 > raw.scores[raw.order[-1]]
    assert answers[0].measured.truncated == 1
    np.testing.assert_allclose([answer.scores[0] for answer in alone], answers[0].scores, atol=1e-5)


@pytest.mark.parametrize("documents", [["x"] * 3, ["", ""], ["only one"]])
async def test_equal_documents_keep_their_order(distilled_folder: Path, documents: list[str]) -> None:
    opened = await open_model(ServeSettings(model=distilled_folder), load=load_model, telemetry=Silent())
    try:
        answer = await ask(opened.loaded, "x", documents)
    finally:
        opened.close()
    assert list(answer.order) == list(range(len(documents)))
    assert np.ptp(answer.scores) < 1e-6
