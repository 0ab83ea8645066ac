"""Attention with linear biases (ALiBi, arXiv 2108.12409), symmetric as encoders have it (arXiv 2310.19923).

A score is lowered by the head's slope times the distance of the two tokens. Nothing else tells where a token stands, so
the side of the padding has no effect.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

# Values of the bias that are held at once: 16 MiB as float32. The whole bias of 8192 tokens under 12 heads would take
# 3 GiB; queries are computed in pieces that stay below this. Larger pieces are slower: they leave the caches.
MOST_VALUES = 2**22


def find_slopes(heads: int) -> tuple[float, ...]:
    """Slope of each head: 2^(-8/n), 2^(-16/n) ... for n heads where n is a power of two (section 3).

    Other numbers of heads, as in the paper's code: those of the next smaller power of two, then every second one of the
    next larger, from its first on.
    """
    power = 2 ** int(math.log2(heads))
    first = (2.0 ** (-8 * (number + 1) / power) for number in range(power))
    more = (2.0 ** (-8 * (2 * number + 1) / (2 * power)) for number in range(heads - power))
    return (*first, *more)


@dataclass(frozen=True)
class Alibi:
    """The bias of one batch, made a piece at a time.

    `slopes` float32 [heads]. `attention` int64 [batch, length], 1 for tokens; None without padding.
    """

    slopes: torch.Tensor
    attention: torch.Tensor | None
    length: int
    dtype: torch.dtype

    @property
    def piece(self) -> int:
        """How many queries are computed at once."""
        rows = 1 if self.attention is None else self.attention.shape[0]
        return max(1, MOST_VALUES // (rows * len(self.slopes) * self.length))

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Bias of the queries from `start` to `stop`, [batch or 1, heads, stop - start, length]."""
        keys = torch.arange(self.length, device=self.slopes.device, dtype=torch.float32)
        distances = (keys[start:stop, None] - keys[None, :]).abs()
        bias = (-self.slopes[:, None, None] * distances).to(self.dtype)[None]
        if self.attention is None:
            return bias
        return bias.masked_fill(self.attention[:, None, None, :] == 0, float("-inf"))


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, alibi: Alibi, whole: torch.Tensor | None
) -> torch.Tensor:
    """Attention, [batch, heads, length, head size] as its inputs. `whole`: all rows of the bias, where they are few."""
    if whole is not None:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=whole)
    pieces = []
    for start in range(0, alibi.length, alibi.piece):
        stop = min(start + alibi.piece, alibi.length)
        bias = alibi.rows(start, stop)
        pieces.append(functional.scaled_dot_product_attention(query[:, :, start:stop], key, value, attn_mask=bias))
    return torch.cat(pieces, dim=2)
