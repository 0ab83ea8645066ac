"""Gemma: word embeddings scaled by the root of the width, norms that scale by 1 + weight.

Gemma Team 2024, arXiv 2403.08295. Reference: transformers models/gemma.
"""

from embedding_runtime.architectures.families.decoder import decoder

GEMMA = decoder("gemma", config="GemmaConfig", source="arXiv 2403.08295; models/gemma", honours=("rope_theta",))
