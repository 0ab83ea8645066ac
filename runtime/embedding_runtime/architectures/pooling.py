"""Token embeddings to one vector a text: the six modes of sentence-transformers.

The rules are those of its sentence_transformer/modules/pooling.py.

All take token embeddings [batch, length, width] with padding on the right, the mask of tokens that count
[batch, length] (padding, and the prompt where the model excludes it, are zero), and the lengths in tokens [batch].
They accumulate and answer in float32.
"""

from collections.abc import Callable, Mapping

import torch

from embedding_model.resolved import Pooling

SMALLEST_WEIGHT = 1e-9  # sentence-transformers' clamp


def pool(embeddings: torch.Tensor, *, mask: torch.Tensor, lengths: torch.Tensor, mode: Pooling) -> torch.Tensor:
    """float32 [batch, width]."""
    return _MODES[mode](embeddings.float(), mask, lengths)


def _mean(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).float()
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT)


def _mean_sqrt_length(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).float()
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT).sqrt()


def _weighted_mean(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Later tokens weigh more: the position, counted from 1 with the prompt included."""
    positions = torch.arange(1, embeddings.shape[1] + 1, device=embeddings.device, dtype=torch.float32)
    weights = (mask.float() * positions).unsqueeze(-1)
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT)


def _max(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return embeddings.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _cls(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The first token that counts; the very first when none does."""
    first = mask.to(torch.int32).argmax(dim=1)
    return embeddings[torch.arange(embeddings.shape[0], device=embeddings.device), first]


def _last_token(embeddings: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    rows = torch.arange(embeddings.shape[0], device=embeddings.device)
    counted = mask.any(dim=1, keepdim=True)
    return embeddings[rows, lengths - 1] * counted


_MODES: Mapping[Pooling, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    Pooling.MEAN: _mean,
    Pooling.MEAN_SQRT_LENGTH: _mean_sqrt_length,
    Pooling.WEIGHTED_MEAN: _weighted_mean,
    Pooling.MAX: _max,
    Pooling.CLS: _cls,
    Pooling.LAST_TOKEN: _last_token,
}
