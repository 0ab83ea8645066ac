"""Language models that serve as embedders and rerankers: Llama, Mistral, Qwen and Gemma."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from embedding_model.inspection.families.heads import Head, classifier, plain_language_head, span_head
from embedding_model.inspection.families.positions import rotary
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Shape, Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, name_classes
from embedding_model.refusal import Reason, Refusal

_WORDS = "embed_tokens.weight"
_HEADS = (
    Head.CAUSAL_LANGUAGE_MODEL,
    Head.SEQUENCE_CLASSIFICATION,
    Head.TOKEN_CLASSIFICATION,
    Head.QUESTION_ANSWERING,
)


@dataclass(frozen=True, kw_only=True)
class _Variant:
    """What sets one decoder apart from Llama.

    pairs        key and value heads where config.json does not say (None: as many as heads); null always means that
    head         size of a head where config.json does not say (None: width / heads)
    bias         of query, key and value (None: as attention_bias says); `output_bias` of the projection behind them
    mlp_bias     whether mlp_bias counts
    head_norms   queries and keys are normed per head
    four_norms   norms behind attention and feed-forward too
    tie          whether the language head is the word embeddings where config.json does not say
    uncaused     whether transformers' class reads in both directions where is_causal is false; a test holds it to that
    switched     whether it does where use_bidirectional_attention is true
    """

    pairs: int | None = None
    head: int | None = None
    bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool = False
    head_norms: bool = False
    four_norms: bool = False
    tie: bool = False
    uncaused: bool = False
    switched: bool = False


def _refuse_two_directions(settings: Settings, *, variant: _Variant) -> None:
    if not variant.switched:
        settings.require_native("use_bidirectional_attention", None, False)
    if settings.config.flag("is_causal") is False and not variant.uncaused:
        raise Refusal(
            Reason.REMOTE_CODE_REQUIRED,
            f"{settings.config.path}: is_causal is false: Python code of the model's own made it read in both "
            "directions; that code is never run, and no tensor shows that another class computes the same. Use a model "
            "that reads from left to right, or one of a family that reads in both directions",
        )


def _describe_with(variant: _Variant) -> Callable[[Settings], Blueprint]:
    def describe(settings: Settings) -> Blueprint:
        _refuse_two_directions(settings, variant=variant)
        if settings.config.flag("use_sliding_window") is not False:
            settings.require_window("sliding_window")
        words, width = settings.size("vocab_size"), settings.size("hidden_size")
        tie = settings.flag("tie_word_embeddings", default=variant.tie)
        layer = _layer(settings, variant=variant, width=width)
        return Blueprint(
            body={
                _WORDS: (words, width),
                **repeat("layers", settings.layers("num_hidden_layers"), layer),
                **norm("norm", width, bias=False),
            },
            heads={
                Head.CAUSAL_LANGUAGE_MODEL: plain_language_head(words, width, tie=tie, word_tensor=_WORDS),
                Head.SEQUENCE_CLASSIFICATION: classifier("score", width, bias=False),
                Head.TOKEN_CLASSIFICATION: classifier("score", width),
                Head.QUESTION_ANSWERING: span_head(width),
            },
            width=width.value,
            words=_WORDS,
            positions=rotary(settings, "max_position_embeddings"),
        )

    return describe


def _layer(settings: Settings, *, variant: _Variant, width: Size) -> dict[str, Shape]:
    heads, inner = settings.size("num_attention_heads"), settings.size("intermediate_size")
    own = settings.config.values.get("num_key_value_heads", variant.pairs)
    pairs = heads if own is None else settings.size("num_key_value_heads", default=variant.pairs)
    settings.require_even_heads(heads, pairs)
    head = _head_size(settings, variant=variant, width=width, heads=heads)
    bias = settings.flag("attention_bias") if variant.bias is None else variant.bias
    output_bias = settings.flag("attention_bias") if variant.output_bias is None else variant.output_bias
    mlp_bias = variant.mlp_bias and settings.flag("mlp_bias")
    norms = ["input_layernorm", "post_attention_layernorm"]
    if variant.four_norms:
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    return {
        **linear("self_attn.q_proj", heads * head, width, bias=bias),
        **linear("self_attn.k_proj", pairs * head, width, bias=bias),
        **linear("self_attn.v_proj", pairs * head, width, bias=bias),
        **linear("self_attn.o_proj", width, heads * head, bias=output_bias),
        **(_head_norms(head) if variant.head_norms else {}),
        **linear("mlp.gate_proj", inner, width, bias=mlp_bias),
        **linear("mlp.up_proj", inner, width, bias=mlp_bias),
        **linear("mlp.down_proj", width, inner, bias=mlp_bias),
        **{f"{name}.weight": (width,) for name in norms},
    }


def _head_size(settings: Settings, *, variant: _Variant, width: Size, heads: Size) -> Size:
    if settings.config.values.get("head_dim") is None and variant.head is None:
        settings.require_even_heads(width, heads)
        return Size(width.value // heads.value, width.keys)
    return settings.size("head_dim", default=variant.head)


def _head_norms(head: Size) -> Mapping[str, Shape]:
    return {"self_attn.q_norm.weight": (head,), "self_attn.k_norm.weight": (head,)}


def _decoder(name: str, *, classes: Mapping[Head | None, str], variant: _Variant) -> Family:
    return Family(
        name=name,
        classes=classes,
        prefixes=("model", "transformer"),  # the second for question answering
        describe=_describe_with(variant),
        activation="hidden_activation" if name in ("gemma2", "gemma3_text") else "hidden_act",
        unused=("lm_head.",),
        is_decoder=True,
        # 65504 is too little for the sums of Gemma 3's residual stream: float16 gives NaN (google/embeddinggemma-300m).
        avoid_dtypes=("float16",) if name == "gemma3_text" else (),
    )


DECODERS = (
    _decoder("llama", classes=name_classes("Llama", heads=_HEADS), variant=_Variant(mlp_bias=True, uncaused=True)),
    _decoder(
        "mistral",
        classes=name_classes("Mistral", heads=_HEADS),
        variant=_Variant(pairs=8, bias=False, output_bias=False),
    ),
    _decoder(
        "qwen2",
        classes=name_classes("Qwen2", heads=_HEADS),
        variant=_Variant(pairs=32, bias=True, output_bias=False, uncaused=True),
    ),
    _decoder(
        "qwen3",
        classes=name_classes("Qwen3", heads=_HEADS),
        variant=_Variant(pairs=32, head=128, head_norms=True, uncaused=True),
    ),
    _decoder("gemma", classes=name_classes("Gemma", heads=_HEADS[:3]), variant=_Variant(pairs=16, head=256, tie=True)),
    _decoder(
        "gemma2",
        classes=name_classes("Gemma2", heads=_HEADS[:3]),
        variant=_Variant(pairs=4, head=256, four_norms=True, tie=True),
    ),
    _decoder(
        "gemma3_text",
        classes={
            None: "Gemma3TextModel",
            Head.CAUSAL_LANGUAGE_MODEL: "Gemma3ForCausalLM",
            Head.SEQUENCE_CLASSIFICATION: "Gemma3TextForSequenceClassification",
        },
        variant=_Variant(pairs=4, head=256, head_norms=True, four_norms=True, tie=True, switched=True),
    ),
)
