"""Token embeddings to one vector a text: the six modes of sentence-transformers, one or several side by side.

The rules are those of its sentence_transformer/modules/pooling.py. All accumulate and answer in float32.
"""

from collections.abc import Callable, Mapping, Sequence

import torch

from embedding_model.resolved import Pooling
from embedding_runtime.architectures.batch import Batch

SMALLEST_WEIGHT = 1e-9  # sentence-transformers' clamp


def pool(
    embeddings: torch.Tensor, *, batch: Batch, modes: Sequence[Pooling], include_prompt: bool = True
) -> torch.Tensor:
    """Token embeddings [batch, length, width] to float32 [batch, modes * width]: the modes' vectors in their order."""
    mask = batch.attention if include_prompt else batch.mask_without_prompt()
    exact = embeddings.float()
    pooled = [_MODES[mode](exact, mask, batch) for mode in modes]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=1)


def _mean(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    weights = mask.unsqueeze(-1).float()
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT)


def _mean_sqrt_length(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    weights = mask.unsqueeze(-1).float()
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT).sqrt()


def _weighted_mean(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Later tokens weigh more: the position, counted from 1 at the text's first token, the prompt included."""
    positions = batch.attention.cumsum(dim=1).float()
    weights = (mask.float() * positions).unsqueeze(-1)
    return (embeddings * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=SMALLEST_WEIGHT)


def _max(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    return embeddings.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _cls(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The first token that counts; the very first when none does."""
    first = mask.to(torch.int32).argmax(dim=1)
    return embeddings[torch.arange(embeddings.shape[0], device=embeddings.device), first]


def _last_token(embeddings: torch.Tensor, mask: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The last token, found by the mask and not by its column; zeros where no token counts."""
    rows = torch.arange(embeddings.shape[0], device=embeddings.device)
    return embeddings[rows, batch.last_positions()] * mask.any(dim=1, keepdim=True)


_MODES: Mapping[Pooling, Callable[[torch.Tensor, torch.Tensor, Batch], torch.Tensor]] = {
    Pooling.MEAN: _mean,
    Pooling.MEAN_SQRT_LENGTH: _mean_sqrt_length,
    Pooling.WEIGHTED_MEAN: _weighted_mean,
    Pooling.MAX: _max,
    Pooling.CLS: _cls,
    Pooling.LAST_TOKEN: _last_token,
}
