"""The tensors of Jina BERT, written down from its published checkpoints: transformers has no class to ask."""

_SIZES = {
    "model_type": "bert",
    "vocab_size": 40,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 8192,
    "type_vocab_size": 2,
    "position_embedding_type": "alibi",
    "hidden_act": "gelu",
}
CONFIG = {
    "gated": {**_SIZES, "feed_forward_type": "geglu"},  # jina-embeddings-v2-base-en, jina-reranker-v1
    "code": {**_SIZES, "feed_forward_type": "geglu"},  # jina-embeddings-v2-base-code
    "original": {**_SIZES, "feed_forward_type": "original"},  # German_Semantic_V3
}

_EMBEDDINGS = {
    "embeddings.word_embeddings.weight": (40, 8),
    "embeddings.token_type_embeddings.weight": (2, 8),
    "embeddings.LayerNorm.weight": (8,),
    "embeddings.LayerNorm.bias": (8,),
    "pooler.dense.weight": (8, 8),
    "pooler.dense.bias": (8,),
}
_ATTENTION = {
    "attention.self.query.weight": (8, 8),
    "attention.self.query.bias": (8,),
    "attention.self.key.weight": (8, 8),
    "attention.self.key.bias": (8,),
    "attention.self.value.weight": (8, 8),
    "attention.self.value.bias": (8,),
    "attention.output.dense.weight": (8, 8),
    "attention.output.dense.bias": (8,),
    "attention.output.LayerNorm.weight": (8,),
    "attention.output.LayerNorm.bias": (8,),
}
_REST = {
    "gated": {
        "mlp.gated_layers.weight": (24, 8),
        "mlp.wo.weight": (8, 12),
        "mlp.wo.bias": (8,),
        "mlp.layernorm.weight": (8,),
        "mlp.layernorm.bias": (8,),
    },
    "code": {
        "attention.self.layer_norm_q.weight": (8,),
        "attention.self.layer_norm_q.bias": (8,),
        "attention.self.layer_norm_k.weight": (8,),
        "attention.self.layer_norm_k.bias": (8,),
        "layer_norm_1.weight": (8,),
        "layer_norm_1.bias": (8,),
        "layer_norm_2.weight": (8,),
        "layer_norm_2.bias": (8,),
        "mlp.up_gated_layer.weight": (24, 8),
        "mlp.down_layer.weight": (8, 12),
        "mlp.down_layer.bias": (8,),
    },
    "original": {
        "intermediate.dense.weight": (12, 8),
        "intermediate.dense.bias": (12,),
        "output.dense.weight": (8, 12),
        "output.dense.bias": (8,),
        "output.LayerNorm.weight": (8,),
        "output.LayerNorm.bias": (8,),
    },
}


def layer_list(variant: str, *, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of two layers of one variant, pooler included."""
    layers = {
        f"encoder.layer.{number}.{name}": shape
        for number in range(2)
        for name, shape in {**_ATTENTION, **_REST[variant]}.items()
    }
    return {prefix + name: shape for name, shape in {**_EMBEDDINGS, **layers}.items()}
