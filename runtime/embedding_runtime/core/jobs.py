"""A request inside the core: a job with one item per text."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tokens:
    """One text as the model sees it: ids with special tokens, already cut to the model's maximum length.

    `prompt_length` is the number of leading tokens that belong to the prompt (0 without one).
    """

    ids: Sequence[int]
    prompt_length: int = 0
    truncated: bool = False


@dataclass(eq=False)
class Item:
    """One text of a job, waiting for or in a batch."""

    tokens: Tokens
    job: "Job"
    index: int
    attempts: int = 0  # changed only while the item is in a batch, never while it waits

    @property
    def length(self) -> int:
        return len(self.tokens.ids)


@dataclass(eq=False)
class Job:
    """All texts of one request. Workers read `abandoned`; everything else is touched on the event loop only."""

    future: "asyncio.Future[Vectors]"
    items: list[Item] = field(default_factory=list)
    vectors: Vectors | None = None
    remaining: int = 0
    abandoned: bool = False  # the client went away or the deadline passed: costs no more compute

    @classmethod
    def create(cls, tokens: Sequence[Tokens], *, loop: asyncio.AbstractEventLoop) -> "Job":
        job = cls(future=loop.create_future(), remaining=len(tokens))
        job.items = [Item(tokens=text, job=job, index=index) for index, text in enumerate(tokens)]
        return job

    def accept(self, items: Sequence[Item], *, rows: Vectors) -> None:
        """Take the vectors of some of the items; the last ones complete the future."""
        if self.future.done():
            return
        if self.vectors is None:
            self.vectors = np.empty((len(self.items), rows.shape[1]), dtype=np.float32)
        self.vectors[[item.index for item in items]] = rows
        self.remaining -= len(items)
        if self.remaining == 0:
            self.future.set_result(self.vectors)

    def fail(self, error: Exception) -> None:
        self.abandoned = True
        if not self.future.done():
            self.future.set_exception(error)

    def __repr__(self) -> str:  # never the texts
        return f"Job(items={len(self.items)}, remaining={self.remaining}, abandoned={self.abandoned})"
