"""Qwen2: Llama with biases on queries, keys and values. With `is_causal` false it reads in both directions (gte-Qwen2).

Yang et al. 2024, arXiv 2407.10671; as embedder Li et al. 2023, arXiv 2308.03281. Reference: transformers models/qwen2.
"""

from embedding_runtime.architectures.families.decoder import decoder

QWEN2 = decoder(
    "qwen2",
    config="Qwen2Config",
    source="arXiv 2407.10671; models/qwen2",
    honours=("is_causal", "layer_types", "max_window_layers", "rope_theta", "sliding_window", "use_sliding_window"),
)
