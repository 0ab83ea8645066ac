"""EuroBERT: Llama's layers with attention in both directions.

Boizard et al. 2025, arXiv 2503.05500. Reference: transformers models/eurobert.
"""

from embedding_runtime.architectures.families.architecture import Architecture

EUROBERT = Architecture(
    name="eurobert",
    source="arXiv 2503.05500; models/eurobert",
    honours=(
        "classifier_pooling",
        "head_dim",
        "hidden_act",
        "num_attention_heads",
        "num_key_value_heads",
        "rms_norm_eps",
        "rope_parameters",
        "rope_theta",
    ),
    package="eurobert",
    config="EuroBertConfig",
)
