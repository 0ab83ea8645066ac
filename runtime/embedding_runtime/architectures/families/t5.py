"""The encoder of T5, which sentence-t5 and GTR embed with.

Raffel et al. 2020, arXiv 1910.10683; Ni et al. 2021, arXiv 2108.08877. Reference: transformers models/t5,
T5EncoderModel.
"""

from embedding_runtime.architectures.families.architecture import Architecture

T5 = Architecture(
    name="t5",
    source="arXiv 1910.10683, 2108.08877; models/t5",
    honours=(
        "d_kv",
        "feed_forward_proj",
        "layer_norm_epsilon",
        "num_heads",
        "relative_attention_max_distance",
        "relative_attention_num_buckets",
    ),
    package="t5",
    config="T5Config",
)
