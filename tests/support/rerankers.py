"""The public application in front of a reranker without a model, and the logits that it computes."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
from runtime_under_test import AppUnderTest, WordTokenizer, app_under_test

from embedding_model.resolved import Activation, ScoreRule, Scoring, Task
from embedding_runtime.backends.fake import FakeBackend, vector_of
from embedding_runtime.core.inputs import Pair

QUERY = "which pod restarts"
DOCUMENTS = ["the weather", "a pod on another node", "kubernetes", "the capital of France"]
TEMPLATE = Scoring(rule=ScoreRule.TOKEN_LOGITS, template="qwen3-reranker", true_token_id=1)
_HEAD = Scoring(rule=ScoreRule.CLASSIFICATION_HEAD)


def reranker(
    *, activation: Activation = Activation.SIGMOID, scoring: Scoring = _HEAD, **more: Any
) -> AbstractAsyncContextManager[AppUnderTest]:
    found = {"scoring": scoring, "activation": activation}
    backend = more.pop("backend", None) or FakeBackend(dimensions=1)
    return app_under_test(backend, task=Task.RERANKING, activation=activation, inspection=found, **more)


def logits_of(documents: Sequence[str] = DOCUMENTS, *, query: str = QUERY) -> np.ndarray:
    tokens = WordTokenizer().encode([Pair(query, document) for document in documents])
    return np.concatenate([vector_of(pair.ids, dimensions=1) for pair in tokens])


def scores_of(documents: Sequence[str] = DOCUMENTS, *, query: str = QUERY) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits_of(documents, query=query))))


def best_first(documents: Sequence[str] = DOCUMENTS, *, query: str = QUERY) -> list[int]:
    return [int(index) for index in np.argsort(-logits_of(documents, query=query))]
