"""A backend for tests of everything around it: vectors from the token ids alone, no model."""

import threading
from collections.abc import Callable, Sequence

import numpy as np

from embedding_runtime.core.jobs import Output, Tokens, Vectors


class FakeBackend:
    """Each text's vector is a pure function of its ids. `before` runs first and may block or raise."""

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

    def prepare_thread(self) -> None:
        pass

    def compute(self, batch: Sequence[Tokens]) -> list[Output]:
        with self._lock:
            self.batches.append([len(tokens.ids) for tokens in batch])
        if self.before is not None:
            self.before(batch)
        return [Output(dense=vector_of(tokens.ids, dimensions=self.dimensions)) for tokens in batch]


def vector_of(ids: Sequence[int], *, dimensions: int) -> Vectors:
    """Different ids give different directions; float32 [dimensions]."""
    seed = np.random.default_rng(list(ids))
    return seed.standard_normal(dimensions).astype(np.float32)
