"""DeBERTa v2 and v3: attention over content and relative positions, each apart from the other.

He et al. 2021, arXiv 2006.03654 and arXiv 2111.09543. Reference: transformers models/deberta_v2. Its attention has no
quicker kernel than the plain one, and its scores overflow in float16, which inspection says of the family.
"""

from embedding_runtime.architectures.families.architecture import Architecture

DEBERTA_V2 = Architecture(
    name="deberta-v2",
    source="arXiv 2006.03654, 2111.09543; models/deberta_v2",
    honours=(
        "attention_head_size",
        "conv_act",
        "conv_kernel_size",
        "hidden_act",
        "layer_norm_eps",
        "max_relative_positions",
        "norm_rel_ebd",
        "num_attention_heads",
        "pooler_hidden_act",
        "pos_att_type",
        "position_biased_input",
        "position_buckets",
        "relative_attention",
        "share_att_key",
    ),
    package="deberta_v2",
    config="DebertaV2Config",
    types=True,
)
