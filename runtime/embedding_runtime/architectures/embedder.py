"""An embedder: a body, its pooling, and the modules behind it."""

from collections.abc import Sequence

import numpy as np
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Pooling, Serving
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.modules import load_modules
from embedding_runtime.architectures.network import Network
from embedding_runtime.architectures.pooling import pool
from embedding_runtime.core.jobs import Output, Part, Tokens
from embedding_runtime.files import Files


class Embedder:
    """Thread-safe: weights are read only."""

    def __init__(
        self, network: Network, *, poolings: Sequence[Pooling], include_prompt: bool, modules: torch.nn.Sequential
    ) -> None:
        self.name = network.name
        self.count_computed = network.count_computed
        self._network = network
        self._poolings = poolings
        self._include_prompt = include_prompt
        self._modules = modules

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`dense`: pooled vectors, neither cut nor normalised. `token_vectors`: hidden states of each token."""
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        hidden = self._network.forward(collated)
        pooled = self.pool(hidden, batch=collated).cpu().numpy()
        return [
            Output(
                dense=row, token_vectors=_read_tokens(hidden[index], is_token=collated.attention[index], tokens=tokens)
            )
            for index, (row, tokens) in enumerate(zip(pooled, batch, strict=True))
        ]

    def pool(self, hidden: torch.Tensor, *, batch: Batch) -> torch.Tensor:
        """Hidden states [batch, length, width] to vectors, float32 [batch, model dimensions]."""
        pooled = pool(hidden, batch=batch, modes=self._poolings, include_prompt=self._include_prompt)
        vectors: torch.Tensor = self._modules(pooled)
        return vectors


def load_embedder(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> Embedder:
    """`files` are all files of the model: those of the modules lie in folders of their own.

    Raises Refusal: MISSING_FILE, INVALID_FILE, INCOMPLETE_WEIGHTS, UNEXPECTED_WEIGHTS, CONTRADICTORY_EVIDENCE for
    widths that do not follow each other.
    """
    if not serving.poolings or serving.model_dimensions is None:
        raise ValueError("an embedder has a pooling and a width")
    _check_widths(inspection, width=network.width * len(serving.poolings), wanted=serving.model_dimensions)
    return Embedder(
        network,
        poolings=serving.poolings,
        include_prompt=serving.include_prompt,
        modules=load_modules(files, heads=inspection.modules, device=network.device),
    )


def _check_widths(inspection: Inspection, *, width: int, wanted: int) -> None:
    """`width` comes out of the pooling. Inspection has seen to it; a document made elsewhere has not been seen."""
    widths = [(head.input_dimensions, head.output_dimensions) for head in inspection.modules]
    for into, out in [*widths, (wanted, wanted)]:
        if into != width:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"The model's vectors should be {into} wide at a place where they are {width}: the resolved model and "
                "the files do not belong together.",
            )
        width = out


def _read_tokens(hidden: torch.Tensor, *, is_token: torch.Tensor, tokens: Tokens) -> np.ndarray | None:
    if Part.TOKEN_VECTORS not in tokens.wants:
        return None
    return np.asarray(hidden[is_token.bool()].float().cpu().numpy())
