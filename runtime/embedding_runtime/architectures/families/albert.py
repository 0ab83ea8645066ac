"""ALBERT: BERT whose layers share their weights, group by group.

Lan et al. 2020, arXiv 1909.11942. Reference: transformers models/albert.
"""

from embedding_runtime.architectures.families.architecture import Architecture

ALBERT = Architecture(
    name="albert",
    source="arXiv 1909.11942; models/albert",
    honours=(
        "embedding_size",
        "hidden_act",
        "inner_group_num",
        "layer_norm_eps",
        "num_attention_heads",
        "num_hidden_groups",
        "num_hidden_layers",
    ),
    package="albert",
    config="AlbertConfig",
    arguments={"add_pooling_layer": False},
    types=True,
)
