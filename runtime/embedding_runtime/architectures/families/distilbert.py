"""DistilBERT: BERT without token types and pooler, with half of the layers.

Sanh et al. 2019, arXiv 1910.01108. Reference: transformers models/distilbert.
"""

from embedding_runtime.architectures.families.architecture import Architecture

DISTILBERT = Architecture(
    name="distilbert",
    source="arXiv 1910.01108; models/distilbert",
    honours=("activation", "n_heads", "sinusoidal_pos_embds"),
    package="distilbert",
    config="DistilBertConfig",
)
