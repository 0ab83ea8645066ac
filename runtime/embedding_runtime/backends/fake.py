"""A backend for tests of everything around it: what it says comes from the token ids alone, no model."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from embedding_runtime.core.jobs import Output, Part, SparseVector, Tokens, Vectors


class FakeBackend:
    """Each text's vectors are a pure function of its ids. `before` runs first and may block or raise."""

    device = "cpu"
    dtype = "float32"
    path = "fake"

    def __init__(
        self,
        *,
        dimensions: int = 8,
        before: Callable[[Sequence[Tokens]], None] | None = None,
        vocabulary_size: int | None = None,
    ) -> None:
        self.dimensions = dimensions
        self.vocabulary_size = vocabulary_size
        self.before = before
        self.batches: list[list[int]] = []  # lengths of each batch
        self._lock = threading.Lock()

    def count_computed(self, lengths: Sequence[int]) -> int:
        return max(lengths, default=0) * len(lengths)

    def prepare_thread(self) -> None:
        pass

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        with self._lock:
            self.batches.append([len(tokens.ids) for tokens in batch])
        if self.before is not None:
            self.before(batch)
        return [self._describe(tokens) for tokens in batch]

    def _describe(self, tokens: Tokens) -> Output:
        wants = tokens.wants
        by_table = Part.QUERY_WEIGHTS in wants
        token_vectors = [vector_of([token], dimensions=self.dimensions) for token in tokens.ids]
        return Output(
            dense=vector_of(tokens.ids, dimensions=self.dimensions),
            sparse=sparse_of(tokens.ids, by_table=by_table) if by_table or Part.SPARSE in wants else None,
            token_vectors=np.stack(token_vectors) if Part.TOKEN_VECTORS in wants else None,
        )


def vector_of(ids: Sequence[int], *, dimensions: int) -> Vectors:
    """Different ids give different directions; float32 [dimensions]."""
    seed = np.random.default_rng(list(ids))
    return seed.standard_normal(dimensions).astype(np.float32)


def sparse_of(ids: Sequence[int], *, by_table: bool) -> SparseVector:
    """One weight for each token, of a vocabulary of 1000: 1 from the table of queries, else how often it is there."""
    indices, counts = np.unique(np.asarray(ids, dtype=np.int64) % 1000, return_counts=True)
    values = np.ones(len(indices)) if by_table else counts + 0.5
    return SparseVector(indices=indices.astype(np.int32), values=values.astype(np.float32))
