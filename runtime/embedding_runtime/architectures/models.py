"""From a model's files to what computes its task."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from embedding_model.resolved import Inspection, ScoreRule, Serving, Task
from embedding_runtime.architectures.classifier import load_classifier
from embedding_runtime.architectures.cross_encoder import load_cross_encoder
from embedding_runtime.architectures.embedder import load_embedder
from embedding_runtime.architectures.language_model_reranker import load_language_model_reranker
from embedding_runtime.architectures.multi_head import load_multi_head_embedder
from embedding_runtime.architectures.network import Network, head_of, load_network
from embedding_runtime.architectures.sparse_encoder import load_sparse_encoder
from embedding_runtime.architectures.trial import try_out
from embedding_runtime.core.jobs import Output, Tokens
from embedding_runtime.files import Files, files_in


class Model(Protocol):
    """One model for one task. Thread-safe. `name` says which implementation computes."""

    name: str

    @property
    def count_computed(self) -> Callable[[Sequence[int]], int]:
        """How many tokens are computed for a batch of texts with these lengths, padding counted."""

    def compute(self, batch: Sequence[Tokens]) -> Sequence[Output]:
        """What the model says of each input, in their order."""


class _Load(Protocol):
    def __call__(self, files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Model: ...


def _load_reranker(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Model:
    scoring = inspection.scoring
    by_words = scoring is not None and scoring.rule is ScoreRule.TOKEN_LOGITS
    load: _Load = load_language_model_reranker if by_words else load_cross_encoder
    return load(files, network=network, inspection=inspection, serving=serving)


def _load_embedder(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Model:
    load: _Load = load_multi_head_embedder if inspection.token_heads else load_embedder
    return load(files, network=network, inspection=inspection, serving=serving)


_TASKS: Mapping[Task, _Load] = {
    Task.EMBEDDING: _load_embedder,
    Task.RERANKING: _load_reranker,
    Task.CLASSIFICATION: load_classifier,
    Task.SPARSE: load_sparse_encoder,
}


def load_model(
    files: Files, *, inspection: Inspection, serving: Serving, device: torch.device, dtype: torch.dtype
) -> Model:
    """`files` are all files of the model.

    Raises Refusal: UNSUPPORTED_ARCHITECTURE, MISSING_FILE, INVALID_FILE (also for a model that does not compute a short
    text), INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS.
    """
    network = load_network(
        files_in(files, folder=inspection.folder),
        inspection=inspection,
        head=head_of(inspection),
        device=device,
        dtype=dtype,
        quantization=serving.quantization,
    )
    model = _TASKS[inspection.task](files, network=network, inspection=inspection, serving=serving)
    try_out(model.compute, max_tokens=serving.max_input_tokens)
    return model
