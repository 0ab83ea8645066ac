"""Attention whose memory grows with the length of a text and not with its square.

transformers' own classes build a mask of [batch, 1, length, length] wherever a plain causal kernel does not do: for a
sliding window, in both directions with padding, and for capped scores, which are computed without a kernel and hold
[batch, heads, length, length] floats too. At 32768 tokens such a mask alone is 1 GiB, and 4 GiB once the kernel has
made floats of it. Here queries are computed a piece at a time, and a mask is made for that piece alone, by the same
mask functions. Where no mask is needed the kernel gets none, as in transformers.

It is entered into transformers under a name (its AttentionInterface and AttentionMaskInterface).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

NAME = "in_pieces"
PIECE = 512  # queries at once: a piece's mask of floats against 32768 keys takes 64 MiB
CAPPED_PIECE = 64  # where scores are floats of every head: those of 16 heads against 32768 keys take 128 MiB


@dataclass(frozen=True)
class PieceMasks:
    """The mask of a batch, made where it is needed. `make` is transformers' sdpa_mask without the places.

    `window` is how far from a token those that it sees may be, None where that is not bounded. `is_causal` where it is
    known that a token sees none behind it.
    """

    make: Callable[..., torch.Tensor]
    length: int
    window: int | None
    is_causal: bool

    def reach(self, start: int, stop: int) -> tuple[int, int]:
        """First key, and the one behind the last, that the queries from `start` to `stop` may see."""
        last = stop if self.is_causal else self.length
        if self.window is None:
            return 0, last
        return max(0, start - self.window), min(last, stop + self.window)

    def piece(self, start: int, stop: int) -> torch.Tensor:
        """bool [batch, 1, stop - start, keys in reach]: which of them each query sees."""
        first, last = self.reach(start, stop)
        return self.make(q_length=stop - start, q_offset=start, kv_length=last - first, kv_offset=first)


def register() -> str:
    """Enter this attention into transformers, once or again. The name under which a configuration asks for it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, make_mask)
    return NAME


def make_mask(
    *,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    attention_mask: torch.Tensor | None = None,
    local_size: int | None = None,
    allow_is_causal_skip: bool = True,
    allow_is_bidirectional_skip: bool = False,
    config: Any = None,
    **how: Any,
) -> torch.Tensor | PieceMasks | None:
    """What transformers' models hand to each layer as its mask: None where the kernel knows what to do without.

    There is no cache of keys here, so queries and keys are the same tokens.
    """
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    # A window counts when it is shorter than the text; capped scores are computed by a formula that needs the mask.
    window = local_size if local_size is not None and kv_length >= local_size else None
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    skips = (allow_is_causal_skip or allow_is_bidirectional_skip) and not capped
    if skips and window is None and (attention_mask is None or bool(attention_mask.all())):
        return None

    def make(**where: int) -> torch.Tensor:
        mask: torch.Tensor = sdpa_mask(
            **where,
            attention_mask=attention_mask,
            allow_is_causal_skip=False,
            allow_is_bidirectional_skip=False,
            **how,
        )
        return mask

    if q_length <= PIECE:
        return make(q_length=q_length, kv_length=kv_length, q_offset=q_offset, kv_offset=kv_offset)
    is_causal = how.get("mask_function") is causal_mask_function
    return PieceMasks(make=make, length=kv_length, window=window, is_causal=is_causal)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | PieceMasks | None,
    *,
    scaling: float | None = None,
    softcap: float | None = None,
    **how: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one layer, [batch, length, heads, head]; query, key, value [batch, heads, length, head].

    `softcap`: scores are bounded by it before the softmax (Gemma 2, arXiv 2408.00118, section 2).
    """
    if attention_mask is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        computed: torch.Tensor = sdpa_attention_forward(module, query, key, value, None, scaling=scaling, **how)[0]
        return computed, None
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)

    def compute(queries: torch.Tensor, first: int, last: int, mask: torch.Tensor) -> torch.Tensor:
        keys, values = key[:, :, first:last], value[:, :, first:last]
        if softcap is None:
            return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scaling)
        return _attend_capped(queries, keys, values, mask=mask, scaling=scaling, softcap=softcap)

    length = query.shape[2]
    if isinstance(attention_mask, PieceMasks):
        pieces, step = [], PIECE if softcap is None else CAPPED_PIECE
        for start in range(0, length, step):
            stop = min(start + step, length)
            first, last = attention_mask.reach(start, stop)
            pieces.append(compute(query[:, :, start:stop], first, last, attention_mask.piece(start, stop)))
        mixed = torch.cat(pieces, dim=2)
    else:
        mixed = compute(query, 0, length, attention_mask)
    return mixed.transpose(1, 2).contiguous(), None


def _attend_capped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    mask: torch.Tensor,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """As transformers' eager_attention_forward of models/gemma2, where no kernel knows a cap."""
    scores = query @ key.transpose(2, 3)
    scores *= query.shape[-1] ** -0.5 if scaling is None else scaling
    scores.div_(softcap).tanh_().mul_(softcap)
    scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    return functional.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype) @ value
