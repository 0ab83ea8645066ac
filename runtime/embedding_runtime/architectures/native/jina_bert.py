"""Jina BERT (v2) in plain torch: BERT with ALiBi in place of position embeddings, in its three feed-forward layouts.

Günther et al. 2023, arXiv 2310.19923. transformers has no class for it, and the Python code that its repositories bring
is never run. Parameters are named as in the checkpoints of jinaai/jina-bert-implementation (`gated` and `original`) and
jinaai/jina-bert-v2-qk-post-norm (`code`):

    gated     attention; then LayerNorm(wo(activation(first half) * second half) + hidden)      (mlp.gated_layers)
    original  BERT's own feed-forward layers
    code      layer norms on queries and keys over all heads together; a second norm and residual behind the attention;
              then LayerNorm(down(first half * activation(second half)) + hidden)               (mlp.up_gated_layer)

The halves that the activation is applied to differ. All norms follow their block (post-norm).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import torch
from torch import nn

from embedding_runtime.architectures.batch import Batch
from embedding_runtime.architectures.native.alibi import Alibi, attend, find_slopes
from embedding_runtime.architectures.native.linear import ACTIVATIONS

Config = Mapping[str, Any]

# What config.json of these repositories may leave out, as their configuration class has it.
_DEFAULTS = {"layer_norm_eps": 1e-12, "type_vocab_size": 2, "hidden_act": "gelu"}
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
# The activation of a gate is named by feed_forward_type (GLU variants, arXiv 2002.05202); hidden_act is not read.
_GATES = {"geglu": "gelu", "reglu": "relu"}
_ORIGINAL = "original"


def complete(config: Config, names: Collection[str]) -> Config:
    """config.json with its defaults; where it does not say how the feed-forward layers are made, the tensors do."""
    completed = {**_DEFAULTS, **{key: value for key, value in config.items() if value is not None}}
    if "feed_forward_type" not in completed:
        gates = {activation: gate for gate, activation in _GATES.items()}
        gated = any(".mlp." in name for name in names)
        completed["feed_forward_type"] = gates.get(completed["hidden_act"]) if gated else _ORIGINAL
    return completed


def fits(config: Config) -> bool:
    """Whether this implementation knows everything that the completed configuration says."""
    kind = config.get("feed_forward_type")
    return (
        all(type(config.get(name)) is int for name in (*_SIZES, "type_vocab_size"))
        and isinstance(config.get("layer_norm_eps"), float)
        and config.get("position_embedding_type", "alibi") == "alibi"
        and (kind in _GATES or (kind == _ORIGINAL and config.get("hidden_act") in ACTIVATIONS))
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
        and "quantization_config" not in config
        and config["hidden_size"] % config["num_attention_heads"] == 0
    )


class JinaBert(nn.Module):
    """`forward`: a batch to hidden states [batch, length, hidden]."""

    def __init__(self, config: Config, *, is_code: bool = False) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        layer = _CodeLayer if is_code else _Layer
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(layer(config) for _ in range(config["num_hidden_layers"]))}
        )
        self._slopes = find_slopes(config["num_attention_heads"])

    def forward(self, batch: Batch) -> torch.Tensor:
        hidden = self.embeddings(batch.ids, batch.types)
        alibi = Alibi(
            slopes=torch.tensor(self._slopes, device=hidden.device),
            attention=batch.attention if batch.is_padded else None,
            length=hidden.shape[1],
            dtype=hidden.dtype,
        )
        whole = alibi.rows(0, alibi.length) if alibi.piece >= alibi.length else None
        for layer in cast(nn.ModuleList, self.encoder["layer"]):
            hidden = layer(hidden, alibi, whole)
        return cast(torch.Tensor, hidden)


class JinaBertForSequenceClassification(JinaBert):
    """`forward`: a batch to logits [batch, labels], from the first token as BERT's class has it."""

    def __init__(self, config: Config, labels: int, *, is_code: bool = False) -> None:
        super().__init__(config, is_code=is_code)
        width = config["hidden_size"]
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})
        self.classifier = nn.Linear(width, labels)

    def forward(self, batch: Batch) -> torch.Tensor:
        hidden = super().forward(batch)
        first = hidden[torch.arange(len(hidden), device=hidden.device), batch.first_positions()]
        return cast(torch.Tensor, self.classifier(torch.tanh(self.pooler["dense"](first))))


class _Embeddings(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = _norm(config)

    def forward(self, ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        words = self.word_embeddings(ids)
        words += self.token_type_embeddings.weight[0] if types is None else self.token_type_embeddings(types)
        return cast(torch.Tensor, self.LayerNorm(words))


class _Layer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = _Attention(config, norms=())
        self._is_gated = config["feed_forward_type"] in _GATES
        if self._is_gated:
            self.mlp = _GatedFeedForward(config)
        else:
            width, wide = config["hidden_size"], config["intermediate_size"]
            self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, wide)})
            self.output = nn.ModuleDict({"dense": nn.Linear(wide, width), "LayerNorm": _norm(config)})
            self._activate = ACTIVATIONS[config["hidden_act"]].compute

    def forward(self, hidden: torch.Tensor, alibi: Alibi, whole: torch.Tensor | None) -> torch.Tensor:
        hidden = self.attention(hidden, alibi, whole)
        if self._is_gated:
            return cast(torch.Tensor, self.mlp(hidden))
        wide = self._activate(self.intermediate["dense"](hidden))
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](wide) + hidden))


class _CodeLayer(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, wide = config["hidden_size"], config["intermediate_size"]
        self.attention = _Attention(config, norms=("layer_norm_q", "layer_norm_k"))
        self.layer_norm_1, self.layer_norm_2 = _norm(config), _norm(config)
        self.mlp = nn.ModuleDict(
            {"up_gated_layer": nn.Linear(width, 2 * wide, bias=False), "down_layer": nn.Linear(wide, width)}
        )
        self._activate = _gate_activation(config)

    def forward(self, hidden: torch.Tensor, alibi: Alibi, whole: torch.Tensor | None) -> torch.Tensor:
        hidden = self.layer_norm_1(hidden + self.attention(hidden, alibi, whole))
        up, gate = self.mlp["up_gated_layer"](hidden).chunk(2, dim=-1)
        return cast(torch.Tensor, self.layer_norm_2(hidden + self.mlp["down_layer"](up * self._activate(gate))))


class _GatedFeedForward(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        width, wide = config["hidden_size"], config["intermediate_size"]
        self.gated_layers = nn.Linear(width, 2 * wide, bias=False)
        self.wo = nn.Linear(wide, width)
        self.layernorm = _norm(config)
        self._activate = _gate_activation(config)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, up = self.gated_layers(hidden).chunk(2, dim=-1)
        return cast(torch.Tensor, self.layernorm(self.wo(self._activate(gate) * up) + hidden))


class _Attention(nn.Module):
    """`norms`: layer norms of queries and keys, over all heads together; none in most models."""

    def __init__(self, config: Config, *, norms: tuple[str, ...]) -> None:
        super().__init__()
        width = config["hidden_size"]
        projections: dict[str, nn.Module] = {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        self.self = nn.ModuleDict(projections | {name: _norm(config) for name in norms})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width), "LayerNorm": _norm(config)})
        self._heads = config["num_attention_heads"]

    def forward(self, hidden: torch.Tensor, alibi: Alibi, whole: torch.Tensor | None) -> torch.Tensor:
        batch, length, width = hidden.shape

        def project(name: str, norm: str) -> torch.Tensor:
            projected: torch.Tensor = self.self[name](hidden)
            if norm in self.self:
                projected = self.self[norm](projected)
            return projected.view(batch, length, self._heads, width // self._heads).transpose(1, 2)

        query, key, value = project("query", "layer_norm_q"), project("key", "layer_norm_k"), project("value", "")
        mixed = attend(query, key, value, alibi=alibi, whole=whole)
        joined = mixed.transpose(1, 2).reshape(batch, length, width)
        return cast(torch.Tensor, self.output["LayerNorm"](self.output["dense"](joined) + hidden))


def _norm(config: Config) -> nn.LayerNorm:
    return nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])


def _gate_activation(config: Config) -> Callable[[torch.Tensor], torch.Tensor]:
    return ACTIVATIONS[_GATES[config["feed_forward_type"]]].compute
