"""Gemma 2: Gemma with a sliding window in every other layer, capped attention scores, norms behind each part too.

Gemma Team 2024, arXiv 2408.00118. Reference: transformers models/gemma2.
"""

from embedding_runtime.architectures.families.decoder import decoder

GEMMA2 = decoder(
    "gemma2",
    config="Gemma2Config",
    source="arXiv 2408.00118; models/gemma2",
    honours=(
        "attn_logit_softcapping",
        "hidden_activation",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_theta",
        "sliding_window",
    ),
)
