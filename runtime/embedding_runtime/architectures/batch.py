"""Token ids of several inputs as tensors of one shape."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from embedding_model.resolved import Side
from embedding_runtime.core.jobs import Tokens


@dataclass(frozen=True)
class Batch:
    """int64 [batch, length] on the model's device; `attention` is 1 for tokens and 0 for padding.

    `types`: which text of a pair a token belongs to, None where no input is a pair. `prompt_lengths` int64 [batch]:
    leading tokens that belong to a prompt.
    """

    ids: torch.Tensor
    attention: torch.Tensor
    types: torch.Tensor | None
    prompt_lengths: torch.Tensor

    @property
    def is_padded(self) -> bool:
        return not bool(self.attention.all())

    @property
    def starts_with_tokens(self) -> bool:
        """Whether every input begins in the first column: what padding there is lies behind."""
        return bool(self.attention[:, 0].all())

    def first_positions(self) -> torch.Tensor:
        """Column of each input's first token, int64 [batch]."""
        return self.attention.argmax(dim=1)

    def last_positions(self) -> torch.Tensor:
        """Column of each input's last token, int64 [batch], on whichever side the padding is."""
        return self.attention.shape[1] - 1 - self.attention.flip(dims=(1,)).argmax(dim=1)

    def mask_without_prompt(self) -> torch.Tensor:
        """`attention` with the tokens of the prompts set to 0 as well."""
        columns = torch.arange(self.attention.shape[1], device=self.attention.device).unsqueeze(0)
        behind = columns >= (self.first_positions() + self.prompt_lengths).unsqueeze(1)
        return self.attention * behind.long()


def count_padded(lengths: Sequence[int]) -> int:
    """Tokens of a batch of texts with these lengths, each filled up to the longest."""
    return max(lengths, default=0) * len(lengths)


def collate(batch: Sequence[Tokens], *, pad_id: int, device: torch.device, padding: Side = Side.RIGHT) -> Batch:
    """Padding is on the right when serving: positions then count from 0 in every family. Tests try both sides."""
    width = max(len(tokens.ids) for tokens in batch)
    ids = torch.full((len(batch), width), pad_id)
    attention = torch.zeros((len(batch), width), dtype=torch.int64)
    types = torch.zeros_like(attention) if any(tokens.type_ids is not None for tokens in batch) else None
    for row, tokens in enumerate(batch):
        start = width - len(tokens.ids) if padding is Side.LEFT else 0
        columns = slice(start, start + len(tokens.ids))
        ids[row, columns] = torch.tensor(tokens.ids)
        attention[row, columns] = 1
        if types is not None and tokens.type_ids is not None:
            types[row, columns] = torch.tensor(tokens.type_ids)
    prompts = torch.tensor([tokens.prompt_length for tokens in batch])
    return Batch(
        ids=ids.to(device, non_blocking=True),
        attention=attention.to(device, non_blocking=True),
        types=None if types is None else types.to(device, non_blocking=True),
        prompt_lengths=prompts.to(device, non_blocking=True),
    )
