"""The encoder of T5, which sentence-t5 and GTR embed with."""

from embedding_model.inspection.families.positions import relative
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Size, linear, repeat
from embedding_model.inspection.families.table import Blueprint, Family

_WORDS = "shared.weight"
_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"


def _describe(settings: Settings) -> Blueprint:
    """Only the first layer holds the table of relative positions; the word embeddings may be stored under two names."""
    words, width, inner = settings.size("vocab_size"), settings.size("d_model"), settings.size("d_ff")
    heads, inside = settings.size("num_heads"), settings.size("num_heads") * settings.size("d_kv")
    buckets = settings.size("relative_attention_num_buckets", default=32)
    feed_forward = settings.text("feed_forward_proj") or "relu"
    entrances = ("wi_0", "wi_1") if feed_forward.startswith("gated-") else ("wi",)
    layer = {
        **{f"layer.0.SelfAttention.{name}.weight": (inside, width) for name in "qkv"},
        "layer.0.SelfAttention.o.weight": (width, inside),
        "layer.0.layer_norm.weight": (width,),
        **{f"layer.1.DenseReluDense.{name}.weight": (inner, width) for name in entrances},
        **linear("layer.1.DenseReluDense.wo", width, inner, bias=False),
        "layer.1.layer_norm.weight": (width,),
    }
    return Blueprint(
        body={
            _WORDS: (words, width),
            "encoder.embed_tokens.weight": (words, width),
            f"encoder.block.0.{_BIAS}": (buckets, heads),
            **repeat("encoder.block", settings.layers("num_layers"), layer),
            "encoder.final_layer_norm.weight": (width,),
        },
        tied={_WORDS: "encoder.embed_tokens.weight", "encoder.embed_tokens.weight": _WORDS},
        width=width.value,
        words=_WORDS,
        positions=relative(settings, settings.size("n_positions", default=Size(512, ("n_positions",)))),
    )


T5 = Family(
    name="t5",
    classes={None: "T5EncoderModel"},
    prefixes=("transformer",),
    describe=_describe,
    activation=None,
    avoid_dtypes=("float16",),  # its feed-forward layers overflow; transformers keeps a part of them in float32 then
)
