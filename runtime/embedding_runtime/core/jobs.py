"""A request inside the core: a job with one item per input."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


class Part(StrEnum):
    """A part of what a model says of an input. Most models have the first alone."""

    DENSE = "dense"
    SPARSE = "sparse"
    TOKEN_VECTORS = "token_vectors"  # noqa: S105 - a vector for each token, not a secret
    QUERY_WEIGHTS = "query_weights"  # sparse, of a query whose tokens a table weights in place of the model


DENSE = frozenset({Part.DENSE})


@dataclass(frozen=True)
class Tokens:
    """One input as the model sees it: ids with special tokens, already cut to the model's maximum length.

    `type_ids` tell the two texts of a pair apart (None: all are of type 0). `prompt_length` is the number of leading
    tokens that belong to the prompt (0 without one). `left_out`, of single texts: how many tokens the cut took. `wants`
    is what has to be computed. `spans`: from and to which token each piece of a document stands.
    """

    ids: Sequence[int]
    type_ids: Sequence[int] | None = None
    prompt_length: int = 0
    truncated: bool = False
    left_out: int = field(default=0, compare=False)
    wants: frozenset[Part] = DENSE
    spans: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True)
class SparseVector:
    """Weights of some tokens of the vocabulary: `indices` int32 [n], ascending; `values` float32 [n], none 0."""

    indices: npt.NDArray[np.int32]
    values: Vectors


@dataclass(frozen=True)
class Output:
    """What the model says of one input: the parts that were wanted and that it has.

    `dense` is float32 [width]: an embedder's vector, neither cut nor normalised, or the logits of a reranker or
    classifier, before the activation. `token_vectors` is float32 [tokens, width].
    """

    dense: Vectors | None = None
    sparse: SparseVector | None = None
    token_vectors: Vectors | None = None


@dataclass(eq=False)
class Item:
    """One input of a job, waiting for or in a batch."""

    tokens: Tokens
    job: "Job"
    index: int
    # Failures of batches that it was in, and those of them that it was in alone. Changed only while the item is in a
    # batch, never while it waits.
    failures: int = 0
    failures_alone: int = 0

    @property
    def length(self) -> int:
        return len(self.tokens.ids)


@dataclass(eq=False)
class Job:
    """All inputs of one request. Workers read `abandoned`; everything else is touched on the event loop only."""

    future: "asyncio.Future[list[Output]]"
    items: list[Item] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)  # one per item; empty ones until they are computed
    remaining: int = 0
    began: float | None = None  # when the first of its batches began, by the engine's clock
    discarded: int = 0  # items that were taken out of the queue because nobody waits for them any more
    abandoned: bool = False  # the client went away or the deadline passed: costs no more compute

    @classmethod
    def create(cls, tokens: Sequence[Tokens], *, loop: asyncio.AbstractEventLoop) -> "Job":
        job = cls(future=loop.create_future(), remaining=len(tokens))
        job.items = [Item(tokens=text, job=job, index=index) for index, text in enumerate(tokens)]
        job.outputs = [_NOTHING] * len(tokens)
        return job

    def accept(self, item: Item, *, output: Output, began: float) -> None:
        """Take what was computed for one of the items; the last one completes the future."""
        if self.future.done():
            return
        self.began = began if self.began is None else min(self.began, began)
        self.outputs[item.index] = output
        self.remaining -= 1
        if self.remaining == 0:
            self.future.set_result(self.outputs)

    def fail(self, error: Exception) -> None:
        self.abandoned = True
        if not self.future.done():
            self.future.set_exception(error)

    def __repr__(self) -> str:  # never the texts
        return f"Job(items={len(self.items)}, remaining={self.remaining}, abandoned={self.abandoned})"


_NOTHING = Output()
