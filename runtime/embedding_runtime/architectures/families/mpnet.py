"""MPNet: relative position buckets beside absolute positions.

Song et al. 2020, arXiv 2004.09297. Reference: transformers models/mpnet.
"""

from embedding_runtime.architectures.families.architecture import Architecture

MPNET = Architecture(
    name="mpnet",
    source="arXiv 2004.09297; models/mpnet",
    honours=("hidden_act", "layer_norm_eps", "num_attention_heads", "relative_attention_num_buckets"),
    package="mpnet",
    config="MPNetConfig",
    arguments={"add_pooling_layer": False},
)
