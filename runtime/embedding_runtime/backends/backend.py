"""The seam between batches and the hardware."""

from collections.abc import Sequence
from typing import Protocol

from embedding_runtime.core.jobs import Output, Tokens


class Backend(Protocol):
    """Thread-safe: several workers call it at once, each with batches of its own."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda`: where it really runs."""

    @property
    def dtype(self) -> str: ...

    @property
    def path(self) -> str:
        """Which implementation computes, as /info shows it."""

    @property
    def vocabulary_size(self) -> int | None:
        """How many token ids, from 0, the model knows; None: any."""

    def count_computed(self, lengths: Sequence[int]) -> int:
        """How many tokens are computed for a batch of texts with these lengths: those of padding are counted too."""

    def prepare_thread(self) -> None:
        """Called once in every worker thread before its first batch."""

    def compute(self, batch: Sequence[Tokens]) -> Sequence[Output]:
        """What the model says of each input, in their order.

        Raises core.failures' OutOfMemory and DeviceBroken; whatever else it raises counts as a failure of the thread or
        of the batch.
        """
