"""Decoders: language models, which end every input with a token of their own."""

from seeded_models.recipe import Recipe
from seeded_models.tokenizers import QWEN

_GROUPED = {"num_key_value_heads": 2}

DECODERS = {
    "qwen3": Recipe(start="Qwen3", tokenizer=QWEN, config={**_GROUPED, "head_dim": 16}),
    "llama": Recipe(start="Llama", tokenizer=QWEN, config=_GROUPED),
}
