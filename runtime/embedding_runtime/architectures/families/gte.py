"""GTE v1.5 and multilingual: rotary positions and gated layers.

Zhang et al. 2024, arXiv 2407.19669. Reference: transformers models/gte. The first configurations have model_type "new"
(Alibaba-NLP/new-impl) and another default for the base of their positions; those that stretch it (NTK) are refused by
inspection, for transformers' class does not.
"""

from embedding_runtime.architectures.families.architecture import Architecture, Config
from embedding_runtime.architectures.families.packed import QUERY_KEY_VALUE, PackedLayout

_FIRST_TYPE = "new"
_FIRST_BASE = 10_000.0  # rope_theta of Alibaba-NLP/new-impl where config.json has none

_LAYOUT = PackedLayout(
    layers="encoder.layer.",
    outside={"lm_head.norm.": "lm_head.layer_norm."},
    names={
        "attention.o_proj": "self_attn.o_proj",
        "attn_ln": "post_attention_layernorm",
        "mlp_ln": "post_mlp_layernorm",
    },
    packed={"attention.qkv_proj": QUERY_KEY_VALUE, "mlp.up_gate_proj": ("mlp.up_proj", "mlp.gate_proj")},
)


def _adapt(config: Config) -> Config:
    if config.get("model_type") != _FIRST_TYPE:
        return config
    adapted = {key: value for key, value in config.items() if key != "model_type"}
    return adapted if adapted.get("rope_parameters") else {"rope_theta": _FIRST_BASE, **adapted}


GTE = Architecture(
    name="gte",
    source="arXiv 2407.19669; models/gte",
    honours=("hidden_act", "layer_norm_eps", "num_attention_heads", "rope_parameters", "rope_scaling", "rope_theta"),
    package="gte",
    config="GteConfig",
    adapt=_adapt,
    convert=_LAYOUT.unpack,
    types=True,
)
