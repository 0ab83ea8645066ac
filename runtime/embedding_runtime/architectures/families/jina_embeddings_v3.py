"""Jina Embeddings v3 as transformers has it: XLM-RoBERTa with rotary positions.

Sturua et al. 2024, arXiv 2409.10173. Reference: transformers models/jina_embeddings_v3. The adapters that the published
model chooses by task are not part of that class: inspection refuses weights that hold them, and serves those that one
adapter was merged into.
"""

from embedding_runtime.architectures.families.architecture import Architecture
from embedding_runtime.architectures.families.packed import QUERY_KEY_VALUE, PackedLayout

_LAYOUT = PackedLayout(
    layers="encoder.layers.",
    outside={"emb_ln.": "embeddings.LayerNorm."},
    names={
        "mixer.out_proj": "self_attn.o_proj",
        "norm1": "post_attention_layernorm",
        "norm2": "post_mlp_layernorm",
    },
    packed={"mixer.Wqkv": QUERY_KEY_VALUE},
)

JINA_EMBEDDINGS_V3 = Architecture(
    name="jina_embeddings_v3",
    source="arXiv 2409.10173; models/jina_embeddings_v3",
    honours=("hidden_act", "layer_norm_eps", "num_attention_heads", "rope_parameters"),
    package="jina_embeddings_v3",
    config="JinaEmbeddingsV3Config",
    arguments={"add_pooling_layer": False},
    convert=_LAYOUT.unpack,
    types=True,
)
