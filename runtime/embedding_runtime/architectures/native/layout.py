"""How the tokens of a batch lie while a network computes them, and how attention finds those of one text again.

All but attention treats each token alone: those layers take rows, [rows, width]. On a CPU only tokens are rows, texts
of like length side by side, so that nothing is computed for padding, and attention takes each text, or all of one
length, by itself. A GPU would rather compute padding than start many small kernels: there a batch stays as it came.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch.nn import functional

from embedding_runtime.architectures.batch import Batch, count_padded

# Texts of at most so many tokens are padded for attention: there a few more places cost less than another call, and
# above, a mask alone costs more.
LONGEST_PADDED = 64

# Attention of texts of at most so many tokens is computed in float32 in any dtype: torch's kernel for half precision
# spends more on its blocks of such few tokens than the conversion takes.
LONGEST_WIDENED = 128

# A number of rows that was not met before costs some milliseconds, in which oneDNN makes the code of its products, and
# it keeps that of 1024. So rows are filled up to a multiple of STEP, beyond FINE_ROWS of twice as many each time that
# they double: 224 numbers up to 16384 rows. On average less than a hundredth part of a large batch is in vain.
STEP = 8
FINE_ROWS = 512


class Layout(Protocol):
    """`rows` is how the tokens lie: a tensor [rows, ...]; `batch` how they came, [batch, length, ...]."""

    def flatten(self, batch: torch.Tensor) -> torch.Tensor:
        """[batch, length] to [rows]."""

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, heads: int) -> torch.Tensor:
        """Attention within each text: [rows, width], as its inputs are; any of them may be a part of a wider tensor."""

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        """[rows, width] to [batch, length, width]; on a CPU what is padding becomes 0."""


def lay_out(batch: Batch, *, dtype: torch.dtype) -> Layout:
    """`dtype` is that of the hidden states."""
    return Unpadded(batch, dtype=dtype) if batch.ids.device.type == "cpu" else Padded(batch)


def find_count(device: torch.device) -> Callable[[Sequence[int]], int]:
    """How many rows texts of such lengths have there."""
    return (lambda lengths: round_up(sum(lengths))) if device.type == "cpu" else count_padded


class Padded:
    """Every place of the batch is a row."""

    def __init__(self, batch: Batch) -> None:
        self._shape = batch.ids.shape
        # Without padding there is no mask, and attention takes its quickest kernel.
        self._mask = batch.attention.bool()[:, None, None, :] if batch.is_padded else None

    def flatten(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten()

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, heads: int) -> torch.Tensor:
        count, length = self._shape
        parts = [_split(rows, count=count, length=length, heads=heads) for rows in (query, key, value)]
        return _join(_attend(*parts, mask=self._mask))

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.view(*self._shape, -1)


class Unpadded:
    """The tokens of each text, the shortest text first, and a few rows that belong to none."""

    def __init__(self, batch: Batch, *, dtype: torch.dtype) -> None:
        self._shape = batch.ids.shape
        lengths = batch.attention.sum(dim=1).tolist()
        order = sorted(range(len(lengths)), key=lengths.__getitem__)
        self._tokens = sum(lengths)
        self._rows = round_up(self._tokens)
        text, column = batch.attention[order].nonzero(as_tuple=True)
        places = torch.tensor(order)[text] * self._shape[1] + column
        self._places = functional.pad(places, (0, self._rows - self._tokens))  # they repeat the first place
        self._groups = _form_groups([lengths[index] for index in order], dtype=dtype)

    def flatten(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.flatten().index_select(0, self._places)  # many times as quick as indexing

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, heads: int) -> torch.Tensor:
        mixed = torch.empty((self._rows, query.shape[1]), dtype=query.dtype)
        mixed[self._tokens :] = 0
        for group in self._groups:
            rows = slice(group.start, group.start + group.tokens)
            group.attend(query[rows], key[rows], value[rows], heads=heads, out=mixed[rows])
        return mixed

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        count, length = self._shape
        restored = rows.new_zeros((count * length, rows.shape[1]))
        restored.index_copy_(0, self._places[: self._tokens], rows[: self._tokens])
        return restored.view(count, length, -1)


def round_up(tokens: int) -> int:
    """How many rows so many tokens are given."""
    step = STEP if tokens <= FINE_ROWS else STEP * 2 ** math.ceil(math.log2(tokens / FINE_ROWS))
    return math.ceil(tokens / step) * step


@dataclass(frozen=True)
class _Group:
    """Texts that attention takes together: rows from `start` on, of texts with these lengths.

    `dtype`: what it computes in.
    """

    start: int
    lengths: Sequence[int]
    dtype: torch.dtype

    @cached_property
    def tokens(self) -> int:
        return sum(self.lengths)

    @cached_property
    def _padding(self) -> "_Padding | None":
        return _Padding.make(self.lengths, dtype=self.dtype) if self.lengths[0] != self.lengths[-1] else None

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, heads: int, out: torch.Tensor
    ) -> None:
        """All [tokens, width]."""
        padding, parts = self._padding, [query, key, value]
        if padding is not None:
            parts = [part.index_select(0, padding.places) for part in parts]
        count, length = len(self.lengths), self.lengths[-1]
        split = [_split(part.to(self.dtype), count=count, length=length, heads=heads) for part in parts]
        mixed = _join(_attend(*split, mask=None if padding is None else padding.mask))
        out.copy_(mixed if padding is None else mixed.index_select(0, padding.tokens))


@dataclass(frozen=True)
class _Padding:
    """Texts of unequal length as rows of one length.

    `places` int64 [texts * longest]: which token is there, of a padding place the text's own first: a masked NaN of
    another text would still be one. `tokens` int64 [tokens]: where each of them is. `mask` [texts, 1, 1, longest] is
    added to the scores: 0, and minus infinity for padding.
    """

    places: torch.Tensor
    tokens: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def make(cls, lengths: Sequence[int], *, dtype: torch.dtype) -> "_Padding":
        counts = torch.tensor(lengths)
        is_token = torch.arange(lengths[-1])[None, :] < counts[:, None]
        tokens = is_token.flatten().nonzero().squeeze(1)
        starts = (counts.cumsum(0) - counts)[:, None]
        places = torch.where(is_token, starts + torch.arange(lengths[-1]), starts).flatten()
        mask = torch.zeros(is_token.shape, dtype=dtype).masked_fill(~is_token, -math.inf)
        return cls(places=places, tokens=tokens, mask=mask[:, None, None, :])


def _form_groups(lengths: Sequence[int], *, dtype: torch.dtype) -> list[_Group]:
    """`lengths` of the texts in their order, ascending."""
    groups: list[_Group] = []
    first = start = 0
    for index in range(1, len(lengths) + 1):
        if index < len(lengths) and (lengths[index] == lengths[first] or lengths[index] <= LONGEST_PADDED):
            continue
        short = lengths[index - 1] <= LONGEST_WIDENED
        groups.append(_Group(start, lengths[first:index], torch.float32 if short else dtype))
        start += groups[-1].tokens
        first = index
    return groups


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, mask: torch.Tensor | None) -> torch.Tensor:
    """[count, heads, length, head], as its inputs are."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _split(rows: torch.Tensor, *, count: int, length: int, heads: int) -> torch.Tensor:
    """[count * length, width] to [count, heads, length, head]."""
    return rows.view(count, length, heads, -1).transpose(1, 2)


def _join(mixed: torch.Tensor) -> torch.Tensor:
    """[count, heads, length, head] to [count * length, width]."""
    count, heads, length, head = mixed.shape
    return mixed.transpose(1, 2).reshape(count * length, heads * head)
