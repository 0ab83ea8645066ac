"""ModernBERT: rotary positions, and attention within a window in most layers.

Warner et al. 2024, arXiv 2412.13663. Reference: transformers models/modernbert. Saves from before version 5 say
global_attn_every_n_layers, global_rope_theta and local_rope_theta where later ones have layer_types and
rope_parameters; transformers' configuration reads both.
"""

from embedding_runtime.architectures.families.architecture import Architecture

MODERNBERT = Architecture(
    name="modernbert",
    source="arXiv 2412.13663; models/modernbert",
    honours=(
        "classifier_activation",
        "classifier_pooling",
        "global_attn_every_n_layers",
        "global_rope_theta",
        "hidden_activation",
        "layer_types",
        "local_attention",
        "local_rope_theta",
        "norm_eps",
        "num_attention_heads",
        "rope_parameters",
    ),
    package="modernbert",
    config="ModernBertConfig",
)
