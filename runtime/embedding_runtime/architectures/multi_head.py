"""An embedder with further heads: a dense vector, a sparse one and a vector for each token from one forward pass.

Chen et al. 2024, arXiv 2402.03216 (bge-m3). The rules are those of FlagEmbedding, whose M3 classes for training and for
inference (modeling.py, m3.py) say: the sparse weight of a token of the vocabulary is the largest relu(layer(hidden
state)) of its places in the text, special tokens left out; the vectors are the layer of every hidden state behind the
first token (the end token among them), normalised. Both layers compute in float32, whatever the dtype of the body is.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving, TokenHead, TokenHeadKind
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.embedder import Embedder, load_embedder
from embedding_runtime.architectures.network import Network
from embedding_runtime.architectures.weights import read_tensors
from embedding_runtime.core.jobs import Output, Part, SparseVector, Tokens, Vectors
from embedding_runtime.core.special_tokens import find_special_ids
from embedding_runtime.files import Files, files_in


class MultiHeadEmbedder:
    """Thread-safe: weights are read only. `unweighted` are token ids that no sparse vector holds."""

    def __init__(
        self,
        embedder: Embedder,
        *,
        network: Network,
        layers: Mapping[TokenHeadKind, nn.Linear],
        unweighted: Collection[int],
    ) -> None:
        self.name = embedder.name
        self.count_computed = embedder.count_computed
        self._embedder = embedder
        self._network = network
        self._sparse = layers.get(TokenHeadKind.SPARSE)
        self._multi_vector = layers.get(TokenHeadKind.MULTI_VECTOR)
        self._unweighted = np.array(sorted(unweighted), dtype=np.int64)

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """The parts that each input wants. `dense`: neither cut nor normalised.

        `token_vectors`: those of the multi-vector head, or without one the hidden states of every token.
        """
        collated = collate(batch, pad_id=self._network.pad_id, device=self._network.device)
        hidden = self._network.forward(collated)
        pooled = self._embedder.pool(hidden, batch=collated).cpu().numpy()
        weights = self._weigh(hidden, batch=batch)
        starts = collated.first_positions().tolist()
        return [
            Output(
                dense=pooled[row] if Part.DENSE in tokens.wants else None,
                sparse=self._read_sparse(weights, row=row, start=starts[row], tokens=tokens),
                token_vectors=self._read_vectors(hidden[row], start=starts[row], tokens=tokens),
            )
            for row, tokens in enumerate(batch)
        ]

    def pool(self, hidden: torch.Tensor, *, batch: Batch) -> torch.Tensor:
        """Hidden states [batch, length, width] to dense vectors, float32 [batch, model dimensions]."""
        return self._embedder.pool(hidden, batch=batch)

    def _weigh(self, hidden: torch.Tensor, *, batch: Sequence[Tokens]) -> Vectors | None:
        """relu of the sparse layer for every place, float32 [batch, length]."""
        if self._sparse is None or not any(Part.SPARSE in tokens.wants for tokens in batch):
            return None
        weights: Vectors = self._sparse(hidden.float()).squeeze(-1).relu().cpu().numpy()
        return weights

    def _read_sparse(self, weights: Vectors | None, *, row: int, start: int, tokens: Tokens) -> SparseVector | None:
        if weights is None or Part.SPARSE not in tokens.wants:
            return None
        own = weights[row, start : start + len(tokens.ids)]
        return gather_weights(np.asarray(tokens.ids, dtype=np.int64), own, unweighted=self._unweighted)

    def _read_vectors(self, hidden: torch.Tensor, *, start: int, tokens: Tokens) -> Vectors | None:
        if Part.TOKEN_VECTORS not in tokens.wants:
            return None
        own = hidden[start : start + len(tokens.ids)].float()
        if self._multi_vector is not None:
            own = nn.functional.normalize(self._multi_vector(own[1:]), dim=-1)
        vectors: Vectors = own.cpu().numpy()
        return vectors


def gather_weights(ids: np.ndarray, weights: Vectors, *, unweighted: np.ndarray) -> SparseVector:
    """The largest weight of each id: `ids` int64 [tokens], `weights` float32 [tokens], not below 0. NaN is kept."""
    counted = ~np.isin(ids, unweighted) & (weights != 0)
    indices, places = np.unique(ids[counted], return_inverse=True)
    values = np.zeros(len(indices), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # NaN is the answer's fault, and found there
        np.maximum.at(values, places, weights[counted])
    return SparseVector(indices=indices.astype(np.int32), values=values)


def load_multi_head_embedder(
    files: Files, *, network: Network, inspection: Inspection, serving: Serving
) -> MultiHeadEmbedder:
    """`files` are all files of the model. Raises Refusal, as load_embedder does, and INVALID_FILE."""
    return MultiHeadEmbedder(
        load_embedder(files, network=network, inspection=inspection, serving=serving),
        network=network,
        layers={head.kind: _load_layer(files, head=head, network=network) for head in inspection.token_heads},
        unweighted=find_special_ids(files_in(files, folder=inspection.folder)),
    )


def _load_layer(files: Files, *, head: TokenHead, network: Network) -> nn.Linear:
    if head.file not in files:
        raise Refusal(Reason.MISSING_FILE, f"The model has no {head.file}.")
    tensors = read_tensors({"model.safetensors": files[head.file]})
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    rows = head.output_dimensions
    if shapes != {"weight": (rows, network.width), "bias": (rows,)}:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{head.file}: expected a linear layer from {network.width} values to {rows}; it holds other tensors.",
        )
    layer = nn.Linear(network.width, rows, device="meta")
    layer.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return layer.to(network.device).eval().requires_grad_(False)
