"""Sparse models (SPLADE): the logits of a masked language model become one weight for each token of the vocabulary.

weight = log(1 + relu(largest logit of any token of the text)); with "log1p_relu" the logarithm is taken once more.
Formal et al. 2021, arXiv 2109.10086; Geng et al. 2025, arXiv 2504.14839. Reference: sentence-transformers,
sparse_encoder/modules/splade_pooling.py (special tokens count, padding does not) and sparse_static_embedding.py.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Pooling, Serving
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.network import Network
from embedding_runtime.architectures.sparse_rows import read_rows
from embedding_runtime.architectures.vocabulary_head import separate_body, separate_head
from embedding_runtime.architectures.weights import read_tensors
from embedding_runtime.core.equal_tokenizers import require_one_tokenizer
from embedding_runtime.core.jobs import Output, Part, SparseVector, Tokens, Vectors
from embedding_runtime.files import Files, files_in

# Bytes of logits that exist at once: enough rows for a matrix product at full speed, a small part of any memory.
LOGIT_BYTES = 256 * 1024 * 1024


class SparseEncoder:
    """Thread-safe: weights are read only. `query_weights` is float32 [vocabulary], of inference-free models."""

    def __init__(
        self,
        network: Network,
        *,
        activation: str,
        query_weights: Vectors | None = None,
        logit_bytes: int = LOGIT_BYTES,
    ) -> None:
        self.name = network.name
        self.count_computed = network.count_computed
        self._network = network
        self._activate = _ACTIVATIONS[activation]
        self._query_weights = query_weights
        self._logit_bytes = logit_bytes
        self._vocabulary = int(network.config["vocab_size"])
        self._body = separate_body(network.module)
        self._head = separate_head(network.module)

    @torch.inference_mode()
    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        """`sparse` of every input. A query that wants QUERY_WEIGHTS is read from the table, the model not asked."""
        documents = [tokens for tokens in batch if not self._is_looked_up(tokens)]
        found = iter(self._encode(documents)) if documents else iter(())
        return [Output(sparse=self._look_up(tokens) if self._is_looked_up(tokens) else next(found)) for tokens in batch]

    def pool(self, hidden: torch.Tensor, *, batch: Batch) -> list[SparseVector]:
        """Hidden states [batch, length, width] to one sparse vector for each row.

        The activation grows with the logit, so it is taken of the largest alone. Rows and columns are cut into pieces
        whose logits take `logit_bytes`.
        """
        # A token that stands twice changes no maximum: padding becomes a copy of the row's first token.
        first = hidden[torch.arange(len(hidden), device=hidden.device), batch.first_positions()]
        filled = torch.where(batch.attention.bool().unsqueeze(-1), hidden, first.unsqueeze(1))
        tokens = max(1, self._logit_bytes // (self._vocabulary * hidden.element_size()))
        columns = min(tokens, hidden.shape[1])
        found: list[SparseVector] = []
        for rows in torch.split(filled, max(1, tokens // columns)):
            largest: torch.Tensor | None = None
            for piece in torch.split(rows, columns, dim=1):
                here = self._head(piece).amax(dim=1)
                largest = here if largest is None else torch.maximum(largest, here)
            assert largest is not None
            found += read_rows(self._activate(largest.float()))
        return found

    def _encode(self, documents: Sequence[Tokens]) -> list[SparseVector]:
        batch = collate(documents, pad_id=self._network.pad_id, device=self._network.device)
        return self.pool(self._body(batch), batch=batch)

    def _is_looked_up(self, tokens: Tokens) -> bool:
        return self._query_weights is not None and Part.QUERY_WEIGHTS in tokens.wants

    def _look_up(self, tokens: Tokens) -> SparseVector:
        assert self._query_weights is not None
        indices = np.unique(np.asarray(tokens.ids, dtype=np.int32))
        values = self._query_weights[indices]
        return SparseVector(indices=indices[values != 0], values=values[values != 0])


def load_sparse_encoder(files: Files, *, network: Network, inspection: Inspection, serving: Serving) -> SparseEncoder:
    """`files` are all files of the model. Raises Refusal: UNSUPPORTED_ARCHITECTURE, INVALID_FILE, MISSING_FILE."""
    head = inspection.sparse
    if head is None:
        raise ValueError("a sparse model has a head")
    if head.pooling is not Pooling.MAX or head.activation not in _ACTIVATIONS:
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"The sparse model pools by {head.pooling} with {head.activation}; this runtime serves Max with "
            f"{' and '.join(_ACTIVATIONS)}.",
        )
    table = None
    if head.query_weights is not None:
        folder = head.query_weights.rpartition("/")[0]
        require_one_tokenizer(files, folders=(inspection.folder or "", folder), family=inspection.family)
        table = _read_table(files, folder=folder, network=network)
    return SparseEncoder(network, activation=head.activation, query_weights=table)


def _read_table(files: Files, *, folder: str, network: Network) -> Vectors:
    vocabulary = network.config["vocab_size"]
    table = read_tensors(files_in(files, folder=folder)).get("weight")
    if table is None or table.shape != (vocabulary,):
        raise Refusal(
            Reason.INVALID_FILE,
            f"{folder}: expected a tensor `weight` with a number for each of the vocabulary's {vocabulary} tokens.",
        )
    return np.asarray(table.float().numpy())


def _activate_once(logits: torch.Tensor) -> torch.Tensor:
    return logits.relu().log1p()


def _activate_twice(logits: torch.Tensor) -> torch.Tensor:
    return logits.relu().log1p().log1p()


_ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": _activate_once,
    "log1p_relu": _activate_twice,
}
