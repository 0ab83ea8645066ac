"""Vector cases of an embedder, and behind them those of its sparse head."""

from collections.abc import Sequence
from pathlib import Path

import torch

from embedding_model.goldens.cases import SparseCase, VectorCase
from embedding_model.goldens.compare import encode_vector
from embedding_model.refusal import Reason
from embedding_model.resolved import ResolvedModel
from embedding_runtime.reference.embedder import Embedder
from embedding_runtime.reference.libraries import refuse, require_finite
from embedding_runtime.reference.sparse_head import compute_head_cases
from embedding_runtime.reference.texts import AskedText, choose_texts

Cases = tuple[VectorCase | SparseCase, ...]


def compute_vector_cases(
    folder: Path, *, resolved: ResolvedModel, device: torch.device, threshold: str
) -> tuple[Cases, Cases]:
    """The goldens and the holdout: 12 and 28 vectors of the served dimensions, float32; a few texts of a sparse head.

    4096 dimensions are 22 kB as base64: the halves stay below 300 kB and 700 kB. Raises Refusal, Unavailable.
    """
    serving = resolved.serving
    halves = choose_texts(
        max_input_tokens=serving.max_input_tokens, prompts=[prompt.name for prompt in serving.prompts]
    )
    embedder = Embedder(folder, resolved=resolved, device=device)
    vectors = [_write(texts, embedder=embedder, threshold=threshold) for texts in halves]
    goldens, holdout = compute_head_cases(halves, embedder=embedder, folder=folder, resolved=resolved)
    return (*vectors[0], *goldens), (*vectors[1], *holdout)


def _write(texts: Sequence[AskedText], *, embedder: Embedder, threshold: str) -> tuple[VectorCase, ...]:
    vectors = embedder.embed(texts)
    require_finite(vectors)
    if not vectors.any(axis=1).all():
        raise refuse(
            Reason.INVALID_FILE,
            "The reference implementation answers with vectors of nothing but zeros: the model's weights are broken.",
        )
    return tuple(
        VectorCase(
            name=text.name,
            input=text.text,
            prompt=text.prompt,
            vector=encode_vector(vector.tolist()),
            min_cosine_similarity=threshold,
        )
        for text, vector in zip(texts, vectors, strict=True)
    )
