"""BERT, RoBERTa, XLM-RoBERTa and CamemBERT in plain torch: one encoder, two ways of counting positions.

The same numbers as transformers' classes, which the tests hold it to, without importing them: that import takes longer
than everything else a pod does before it is ready. It serves a model only when config.json says everything that matters
in words it knows; any other is served by transformers' own class.

Parameters are named as in the checkpoints of transformers' models/bert.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from embedding_runtime.architectures.batch import Batch
from embedding_runtime.architectures.native.layout import Layout, lay_out
from embedding_runtime.architectures.native.linear import ACTIVATIONS, JointLinear, Linear

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
        layout = lay_out(batch, dtype=self.embeddings.word_embeddings.weight.dtype)
        hidden = self.embeddings(batch, layout)
        for layer in self.encoder.layer:
            hidden = layer(hidden, layout)
        return layout.restore(hidden)


class _Embeddings(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=config["layer_norm_eps"])
        self._padding = config["pad_token_id"] if COUNTS_BEHIND_PADDING[config["model_type"]] else None

    def forward(self, batch: Batch, layout: Layout) -> torch.Tensor:
        words = self.word_embeddings(layout.flatten(batch.ids))
        words += (
            self.token_type_embeddings.weight[0]
            if batch.types is None
            else self.token_type_embeddings(layout.flatten(batch.types))
        )
        words += self.position_embeddings(layout.flatten(self._positions(batch.ids)))
        return cast(torch.Tensor, self.LayerNorm(words))

    def _positions(self, ids: torch.Tensor) -> torch.Tensor:
        if self._padding is None:
            return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
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
        self.intermediate = nn.ModuleDict({"dense": Linear(width, wide)})
        self.output = nn.ModuleDict(_dense_and_norm(wide, width=width, eps=config["layer_norm_eps"]))
        self._activation = ACTIVATIONS[config["hidden_act"]]

    def forward(self, hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
        hidden = self.attention(hidden, layout)
        wide = self.intermediate["dense"](hidden, activation=self._activation)
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](wide, residual=hidden)))


class _Attention(nn.Module):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.self = JointLinear(("query", "key", "value"), inputs=width, outputs=width)
        self.output = nn.ModuleDict(_dense_and_norm(width, width=width, eps=config["layer_norm_eps"]))
        self._heads = config["num_attention_heads"]

    def forward(self, hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
        query, key, value = self.self(hidden)
        mixed = layout.attend(query, key, value, heads=self._heads)
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](mixed, residual=hidden)))


def _dense_and_norm(inputs: int, *, width: int, eps: float) -> dict[str, nn.Module]:
    return {"dense": Linear(inputs, width), "LayerNorm": nn.LayerNorm(width, eps=eps)}
