"""Decoders: language models, which end every input with a token of their own."""

from seeded_models.recipe import Recipe
from seeded_models.tokenizers import LLAMA, QWEN

_GROUPED = {"num_key_value_heads": 2}
_HEAD = {**_GROUPED, "head_dim": 16}
_WINDOW = 8  # far narrower than the longest inputs

DECODERS = {
    "llama": Recipe(start="Llama", tokenizer=LLAMA, config=_GROUPED),
    "mistral": Recipe(start="Mistral", tokenizer=LLAMA, config={**_GROUPED, "sliding_window": _WINDOW}),
    "qwen2": Recipe(start="Qwen2", tokenizer=QWEN, config=_GROUPED),
    "qwen3": Recipe(start="Qwen3", tokenizer=QWEN, config=_HEAD),
    "gemma": Recipe(start="Gemma", tokenizer=LLAMA, config=_HEAD),
    "gemma2": Recipe(
        start="Gemma2",
        tokenizer=LLAMA,
        # Scores go beyond 2, so that the cap is felt.
        config={
            **_HEAD,
            "sliding_window": _WINDOW,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 2.0,
        },
    ),
    "gemma3_text": Recipe(
        start="Gemma3Text",
        tokenizer=LLAMA,
        config={
            **_HEAD,
            "sliding_window": 2 * _WINDOW,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "use_bidirectional_attention": True,
        },
    ),
}
