"""Nomic BERT (nomic-embed-text v1 and v1.5): rotary positions and gated layers without biases.

Nussbaum et al. 2024, arXiv 2402.01613. Reference: transformers models/nomic_bert. Its first configurations speak as
GPT-2's do (n_embd ..., rotary_emb_base); inspection refuses those with values that transformers' class does not
compute. v2-moe chooses among experts, which no class of transformers does.
"""

from typing import Any

from embedding_runtime.architectures.families.architecture import Architecture, Config
from embedding_runtime.architectures.families.packed import QUERY_KEY_VALUE, PackedLayout

_FIRST_KEYS = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
# What the first configurations left out stood for these (GPT2Config, and NomicBertConfig of nomic-ai's own code).
_FIRST_EPSILON = 1e-5
_FIRST_BASE = 10_000.0

_LAYOUT = PackedLayout(
    layers="encoder.layers.",
    outside={"emb_ln.": "embeddings.LayerNorm."},
    names={
        "attn.out_proj": "self_attn.o_proj",
        "mlp.fc11": "mlp.up_proj",
        "mlp.fc12": "mlp.gate_proj",
        "mlp.fc2": "mlp.down_proj",
        "norm1": "post_attention_layernorm",
        "norm2": "post_mlp_layernorm",
    },
    packed={"attn.Wqkv": QUERY_KEY_VALUE},
)


def _adapt(config: Config) -> Config:
    if not any(key in config for key in _FIRST_KEYS):
        return config
    renamed: dict[str, Any] = {new: config[old] for old, new in _FIRST_KEYS.items() if old in config}
    base = config.get("rotary_emb_base")
    first = {
        "layer_norm_eps": _FIRST_EPSILON,
        "hidden_act": "silu",  # of swiglu, the only activation_function that inspection lets pass
        "rope_parameters": {"rope_type": "default", "rope_theta": _FIRST_BASE if base is None else float(base)},
    }
    return {**first, **renamed, **{key: value for key, value in config.items() if key not in _FIRST_KEYS}}


NOMIC_BERT = Architecture(
    name="nomic_bert",
    source="arXiv 2402.01613; models/nomic_bert",
    honours=(
        "head_dim",
        "hidden_act",
        "layer_norm_eps",
        "num_attention_heads",
        "rope_parameters",
        "rotary_emb_base",
        *_FIRST_KEYS,
    ),
    package="nomic_bert",
    config="NomicBertConfig",
    adapt=_adapt,
    convert=_LAYOUT.unpack,
    types=True,
)
