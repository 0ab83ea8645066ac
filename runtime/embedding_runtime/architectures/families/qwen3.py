"""Qwen3: Llama with queries and keys normed per head.

Yang et al. 2025, arXiv 2505.09388; as embedder Zhang et al. 2025, arXiv 2506.05176. Reference: transformers
models/qwen3.
"""

from embedding_runtime.architectures.families.decoder import decoder

QWEN3 = decoder(
    "qwen3",
    config="Qwen3Config",
    source="arXiv 2505.09388; models/qwen3",
    honours=(
        "attention_bias",
        "layer_types",
        "max_window_layers",
        "rope_theta",
        "sliding_window",
        "use_sliding_window",
    ),
)
