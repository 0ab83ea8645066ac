"""A model of each task, without weights: what `app_under_test` and the fake process are told to serve."""

from collections.abc import Mapping
from typing import Any

from embedding_model.resolved import (
    Activation,
    Pooling,
    ScoreRule,
    Scoring,
    SparseHead,
    Task,
    TokenHead,
    TokenHeadKind,
)
from embedding_runtime.backends.fake import FakeBackend

SPARSE_HEAD = TokenHead(kind=TokenHeadKind.SPARSE, file="sparse_linear.safetensors", output_dimensions=1)

# Values of the resolved model, as `runtime_under_test.loader` takes them.
SERVED: Mapping[Task, Mapping[str, Any]] = {
    Task.EMBEDDING: {"inspection": {"token_heads": (SPARSE_HEAD,)}},
    Task.RERANKING: {
        "activation": Activation.SIGMOID,
        "inspection": {
            "scoring": Scoring(rule=ScoreRule.CLASSIFICATION_HEAD),
            "activation": Activation.SIGMOID,
        },
    },
    Task.CLASSIFICATION: {
        "activation": Activation.SOFTMAX,
        "inspection": {"labels": ("anger", "joy", "sadness"), "activation": Activation.SOFTMAX},
    },
    Task.SPARSE: {
        "pooling": None,
        "normalize": None,
        "inspection": {"sparse": SparseHead(pooling=Pooling.MAX, activation="relu")},
    },
}

_OUTPUTS: Mapping[Task, int] = {Task.EMBEDDING: 8, Task.RERANKING: 1, Task.CLASSIFICATION: 3, Task.SPARSE: 8}


def fake_backend(task: Task) -> FakeBackend:
    """One that gives as many numbers as a model of this task."""
    return FakeBackend(dimensions=_OUTPUTS[task])
