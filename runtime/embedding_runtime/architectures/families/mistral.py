"""Mistral: Llama with a sliding window of attention in every layer, where the configuration has one.

Jiang et al. 2023, arXiv 2310.06825; as embedder Wang et al. 2024, arXiv 2401.00368 (e5-mistral). Reference:
transformers models/mistral.
"""

from embedding_runtime.architectures.families.decoder import decoder

MISTRAL = decoder(
    "mistral",
    config="MistralConfig",
    source="arXiv 2310.06825; models/mistral",
    honours=("rope_theta", "sliding_window"),
)
