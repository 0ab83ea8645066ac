"""The head of a masked language model apart from its body: hidden states in, logits over the vocabulary out.

The logits of a batch are its largest tensor by far: 16,384 tokens times a vocabulary of 250,002 are 16 GB in float32.
A head by itself can be given the hidden states in pieces.
"""

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from embedding_runtime.architectures.batch import Batch


class _Finished(nn.Module):
    """Stands in for a body whose work is done: it answers what it is given. What a head asks of a body is the body's.

    (DeBERTa's head multiplies by the embeddings of the body.)
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        for name, module in body.named_children():
            self.add_module(name, module)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput  # slow, and a model of ours alone needs none of it

        return BaseModelOutput(last_hidden_state=cast(Any, input_ids))


def separate_body(model: nn.Module) -> Callable[[Batch], torch.Tensor]:
    """The body of transformers' class with a head: a batch to hidden states [batch, length, width]."""
    body = getattr(model, _prefix(model))

    def forward(batch: Batch) -> torch.Tensor:
        answer = body(input_ids=batch.ids, attention_mask=batch.attention)
        return cast(torch.Tensor, answer.last_hidden_state)

    return forward


def separate_head(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The head of transformers' class: hidden states [rows, length, width] to logits [rows, length, vocabulary].

    It is the class's own forward with the body's work already done, so that no family needs a second description of its
    head. The modules are shared, not copied.
    """
    prefix = _prefix(model)
    head = copy.copy(model)
    head._modules = {**model._modules, prefix: _Finished(getattr(model, prefix))}

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, head(input_ids=hidden).logits)

    return forward


def _prefix(model: nn.Module) -> str:
    return cast(str, model.base_model_prefix)
