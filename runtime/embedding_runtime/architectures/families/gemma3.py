"""Gemma 3, text alone: windows in five layers of six with rotary positions of their own, normed queries and keys.

Gemma Team 2025, arXiv 2503.19786; EmbeddingGemma, which reads in both directions: Schechter Vera et al. 2025, arXiv
2509.20354. Reference: transformers models/gemma3.
"""

from embedding_runtime.architectures.families.architecture import Config
from embedding_runtime.architectures.families.decoder import decoder, reads_forward


def _reads_forward(config: Config) -> bool:
    return reads_forward(config) and not config.get("use_bidirectional_attention")


GEMMA3 = decoder(
    "gemma3_text",
    package="gemma3",
    config="Gemma3TextConfig",
    source="arXiv 2503.19786; models/gemma3",
    honours=(
        "hidden_activation",
        "layer_types",
        "query_pre_attn_scalar",
        "rope_local_base_freq",
        "rope_theta",
        "sliding_window",
        "sliding_window_pattern",
        "use_bidirectional_attention",
    ),
    is_causal=_reads_forward,
)
