"""Cases of an embedder's sparse head (bge-m3), by the library's hidden states and the formula of the head's authors.

Chen et al. 2024, arXiv 2402.03216; FlagEmbedding, EncoderOnlyEmbedderM3Model (modeling.py, m3.py): the weight of a
token of the vocabulary is the largest relu(layer(hidden state)) of its places in the text, and begin, end, padding and
what is unknown have none.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from embedding_model.goldens.cases import SparseCase
from embedding_model.resolved import ResolvedModel, TokenHead, TokenHeadKind
from embedding_runtime.reference.embedder import Embedder
from embedding_runtime.reference.libraries import computing, loading
from embedding_runtime.reference.sparse_cases import Weights, write_sparse_cases
from embedding_runtime.reference.texts import AskedText, choose_few

Cases = tuple[SparseCase, ...]


class SparseHeadModel:
    """The head of an embedder, its layer in float32. It rounds the weights of the embedder, which serves no one else
    from then on."""

    def __init__(self, embedder: Embedder, *, layer: Path) -> None:
        self._embedder = embedder
        tensors = load_file(layer)
        self._weight, self._bias = tensors["weight"].float(), tensors["bias"].float()
        tokenizer = embedder.tokenizer
        special = (tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id)
        self._unweighted = [id_ for id_ in special if id_ is not None]

    def embed(self, texts: Sequence[AskedText]) -> Weights:
        """Float32 [texts, vocabulary]; each text alone."""
        with computing():
            return np.stack([self._embed(text) for text in texts])

    def round_weights(self) -> None:
        """From now on the weights of the body are bfloat16; the head is served in float32 always."""
        self._embedder.round_weights()

    def name_terms(self, ids: Sequence[int]) -> list[str]:
        """The tokens as the tokenizer writes them."""
        found: list[str] = self._embedder.tokenizer.convert_ids_to_tokens(list(ids))
        return found

    def _embed(self, text: AskedText) -> Weights:
        ids, hidden = self._embedder.read_tokens(text)
        weights = torch.relu(hidden @ self._weight.T + self._bias).squeeze(-1)
        row = torch.zeros(len(self._embedder.tokenizer)).scatter_reduce(0, ids, weights, reduce="amax")
        row[self._unweighted] = 0
        found: Weights = row.numpy()
        return found


def compute_head_cases(
    halves: Sequence[Sequence[AskedText]], *, embedder: Embedder, folder: Path, resolved: ResolvedModel
) -> tuple[Cases, Cases]:
    """At most 4 goldens and 6 of the holdout, of texts of `halves`; none for a model without a sparse head.

    The last thing that is computed with the embedder. Raises Refusal, Unavailable, as compute_sparse_cases does.
    """
    head = _find_head(resolved)
    if head is None:
        return (), ()
    with loading(resolved.inspection):
        model = SparseHeadModel(embedder, layer=folder / head.file)
    return write_sparse_cases([choose_few(half, output="sparse") for half in halves], model=model, resolved=resolved)


def _find_head(resolved: ResolvedModel) -> TokenHead | None:
    heads = resolved.inspection.token_heads
    return next((head for head in heads if head.kind is TokenHeadKind.SPARSE), None)
