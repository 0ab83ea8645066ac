"""Encoders."""

from seeded_models.recipe import WIDTH, Recipe
from seeded_models.tokenizers import BERT, ROBERTA, T5

_DEBERTA_V3 = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 16,
    "max_relative_positions": -1,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "type_vocab_size": 0,
}

ENCODERS = {
    "bert": Recipe(start="Bert", tokenizer=BERT),
    "roberta": Recipe(start="Roberta", tokenizer=ROBERTA, config={"type_vocab_size": 1}, reserved=2),
    "xlm-roberta": Recipe(start="XLMRoberta", tokenizer=ROBERTA, config={"type_vocab_size": 1}, reserved=2),
    "camembert": Recipe(start="Camembert", tokenizer=ROBERTA, config={"type_vocab_size": 1}, reserved=2),
    "mpnet": Recipe(start="MPNet", tokenizer=ROBERTA, reserved=2),
    "distilbert": Recipe(
        start="DistilBert",
        tokenizer=BERT,
        keys={"width": "dim", "inner": "hidden_dim", "heads": "n_heads", "layers": "n_layers"},
    ),
    "electra": Recipe(start="Electra", tokenizer=BERT, config={"embedding_size": 32}, spread=0.2),
    "albert": Recipe(start="Albert", tokenizer=BERT, config={"embedding_size": 32}),
    "deberta-v2": Recipe(start="DebertaV2", tokenizer=BERT, config=_DEBERTA_V3),
    # A window far narrower than the longest input, and layers of both kinds even where there are two.
    "modernbert": Recipe(
        start="ModernBert", tokenizer=BERT, config={"local_attention": 8, "global_attn_every_n_layers": 2}
    ),
    "eurobert": Recipe(start="EuroBert", tokenizer=BERT, config={"num_key_value_heads": 2}),
    "nomic_bert": Recipe(start="NomicBert", tokenizer=BERT),
    "gte": Recipe(start="Gte", tokenizer=ROBERTA),
    "jina_embeddings_v3": Recipe(start="JinaEmbeddingsV3", tokenizer=ROBERTA),
    "t5": Recipe(
        start="T5",
        tokenizer=T5,
        config={"d_kv": WIDTH // 4},
        keys={
            "width": "d_model",
            "inner": "d_ff",
            "heads": "num_heads",
            "layers": "num_layers",
            "positions": "n_positions",
        },
    ),
}
