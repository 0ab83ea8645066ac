"""BERT, RoBERTa, XLM-RoBERTa and CamemBERT in plain torch: one encoder, two ways of counting positions.

The same numbers as transformers' classes, which the tests hold it to, without importing them: that import takes longer
than everything else a pod does before it is ready. It serves a model only when config.json says everything that matters
in words it knows; any other is served by transformers' own class.

Parameters are named as in the checkpoints of transformers' models/bert.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from embedding_runtime.architectures.batch import Batch

# transformers' names (activations.py) of functions that torch has itself.
ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda hidden: functional.gelu(hidden, approximate="tanh"),
    "gelu_pytorch_tanh": lambda hidden: functional.gelu(hidden, approximate="tanh"),
    "relu": functional.relu,
}

# RoBERTa counts positions from one behind the padding token's id, and skips padding; BERT counts from zero.
COUNTS_BEHIND_PADDING: Mapping[str, bool] = {
    "bert": False,
    "roberta": True,
    "xlm-roberta": True,
    "camembert": True,
}

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "pad_token_id",
)


def fits(config: Mapping[str, Any]) -> bool:
    """Whether this implementation knows everything that the configuration says, with nothing left to defaults."""
    return (
        config.get("model_type") in COUNTS_BEHIND_PADDING
        and all(type(config.get(name)) is int for name in _SIZES)
        and isinstance(config.get("layer_norm_eps"), float)
        and config.get("hidden_act") in ACTIVATIONS
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
        and "quantization_config" not in config
        and config["hidden_size"] % config["num_attention_heads"] == 0
    )


class BertEncoder(nn.Module):
    """`forward`: a batch to hidden states [batch, length, hidden]."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = _Layers(config)

    def forward(self, batch: Batch) -> torch.Tensor:
        # Without padding there is no mask, and attention takes its quickest kernel.
        mask = batch.attention.bool()[:, None, None, :] if batch.is_padded else None
        hidden = self.embeddings(batch.ids, batch.types)
        for layer in self.encoder.layer:
            hidden = layer(hidden, mask)
        return cast(torch.Tensor, hidden)


class _Embeddings(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self._padding = config["pad_token_id"] if COUNTS_BEHIND_PADDING[config["model_type"]] else None

    def forward(self, ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        words = self.word_embeddings(ids)
        words += self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        return cast(torch.Tensor, self.LayerNorm(words + self.position_embeddings(self._positions(ids))))

    def _positions(self, ids: torch.Tensor) -> torch.Tensor:
        if self._padding is None:
            return torch.arange(ids.shape[1], device=ids.device)
        counted = ids.ne(self._padding).long()
        positions: torch.Tensor = counted.cumsum(dim=1) * counted + self._padding
        return positions


class _Layers(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))


class _Layer(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, wide = config["hidden_size"], config["intermediate_size"]
        self.attention = _Attention(config)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, wide)})
        self.output = nn.ModuleDict(_dense_and_norm(wide, width=width, eps=config["layer_norm_eps"]))
        self._activate = ACTIVATIONS[config["hidden_act"]]

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        hidden = self.attention(hidden, mask)
        wide = self._activate(self.intermediate["dense"](hidden))
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](wide) + hidden))


class _Attention(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict(_dense_and_norm(width, width=width, eps=config["layer_norm_eps"]))
        self._heads = config["num_attention_heads"]

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        batch, length, width = hidden.shape

        def split(name: str) -> torch.Tensor:
            projected: torch.Tensor = self.self[name](hidden)
            return projected.view(batch, length, self._heads, width // self._heads).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(split("query"), split("key"), split("value"), attn_mask=mask)
        joined = mixed.transpose(1, 2).reshape(batch, length, width)
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](joined) + hidden))


def _dense_and_norm(inputs: int, *, width: int, eps: float) -> dict[str, nn.Module]:
    return {"dense": nn.Linear(inputs, width), "LayerNorm": nn.LayerNorm(width, eps=eps)}
