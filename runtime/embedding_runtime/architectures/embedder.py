"""An embedder: a body, its pooling, and the modules behind it."""

from collections.abc import Sequence

import numpy as np
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Pooling, Serving
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.network import Network
from embedding_runtime.architectures.pooling import pool
from embedding_runtime.core.jobs import Output, Part, Tokens
from embedding_runtime.files import Files


class Embedder:
    """Thread-safe: weights are read only."""

    def __init__(self, network: Network, *, pooling: Pooling, include_prompt: bool) -> None:
        self.name = network.name
        self._network = network
        self._pooling = pooling
        self._include_prompt = include_prompt

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`dense`: pooled vectors, neither cut nor normalised. `token_vectors`: hidden states of each token."""
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        hidden = self._network.forward(collated)
        pooled = self.pool(hidden, batch=collated).cpu().numpy()
        return [
            Output(dense=row, token_vectors=_read_tokens(hidden[index], tokens=tokens))
            for index, (row, tokens) in enumerate(zip(pooled, batch, strict=True))
        ]

    def pool(self, hidden: torch.Tensor, *, batch: Batch) -> torch.Tensor:
        """Hidden states [batch, length, width] to vectors, float32 [batch, model dimensions]."""
        return pool(hidden, batch=batch, mode=self._pooling, include_prompt=self._include_prompt)


def load_embedder(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Embedder:
    """`files` are all files of the model. Raises Refusal: UNSUPPORTED_ARCHITECTURE."""
    if serving.pooling is None:
        raise ValueError("an embedder has a pooling")
    if inspection.modules or network.width != serving.model_dimensions:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"The model's vectors have {serving.model_dimensions} dimensions but its encoder is {network.width} wide: "
            "it has layers after pooling, which this runtime does not serve.",
        )
    return Embedder(network, pooling=serving.pooling, include_prompt=serving.include_prompt)


def _read_tokens(hidden: torch.Tensor, *, tokens: Tokens) -> np.ndarray | None:
    if Part.TOKEN_VECTORS not in tokens.wants:
        return None
    return np.asarray(hidden[: len(tokens.ids)].float().cpu().numpy())
