"""ELECTRA's discriminator: BERT whose embeddings may be narrower than its layers.

Clark et al. 2020, arXiv 2003.10555. Reference: transformers models/electra.
"""

from embedding_runtime.architectures.families.architecture import Architecture

ELECTRA = Architecture(
    name="electra",
    source="arXiv 2003.10555; models/electra",
    honours=("embedding_size", "hidden_act", "layer_norm_eps", "num_attention_heads"),
    package="electra",
    config="ElectraConfig",
    types=True,
)
