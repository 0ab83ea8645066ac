"""Language models with a score head: what their classes for sequence classification say of the last token.

transformers' GenericForSequenceClassification finds that token by comparing ids with the padding token's: wrong where
the padding token is also the one that ends a text, and impossible without one. Here the mask says where it is.
"""

from collections.abc import Callable
from typing import cast

import torch

from embedding_runtime.architectures.batch import Batch


def score_last_token(
    model: torch.nn.Module, *, compute_body: Callable[[Batch], torch.Tensor]
) -> Callable[[Batch], torch.Tensor]:
    """Logits [batch, labels] of a ...ForSequenceClassification: its `score` of each text's last hidden state.

    `compute_body` gives the hidden states of the class's body, [batch, length, width].
    """
    score = cast(torch.nn.Linear, model.score)

    def compute(batch: Batch) -> torch.Tensor:
        hidden = compute_body(batch)
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        return cast(torch.Tensor, score(hidden[rows, batch.last_positions()]))

    return compute
