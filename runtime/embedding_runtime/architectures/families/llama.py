"""Llama: rotary positions, RMS norms before each part, gated feed-forward, shared keys and values.

Touvron et al. 2023, arXiv 2302.13971; Grattafiori et al. 2024, arXiv 2407.21783. Reference: transformers models/llama.
"""

from embedding_runtime.architectures.families.decoder import decoder

LLAMA = decoder(
    "llama",
    config="LlamaConfig",
    source="arXiv 2302.13971; models/llama",
    honours=("attention_bias", "mlp_bias", "rope_scaling", "rope_theta"),
)
