"""Nomic BERT, GTE and Jina Embeddings v3: rotary encoders that were published with code of their own.

transformers has classes for them and reads both its own names and those of the first saves, where query, key and value
are packed into one matrix (conversion_mapping.py: nomic_bert, gte, jina_embeddings_v3). Their first configurations
(n_embd ..., model_type "new") are read only where every value is one that these classes compute with.
"""

from embedding_model.inspection.families.bert import WORDS, pooler
from embedding_model.inspection.families.heads import (
    Head,
    HeadTensors,
    bert_language_head,
    classifier,
    roberta_language_head,
    span_head,
    two_layer_classifier,
)
from embedding_model.inspection.families.positions import rotary
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.families.shapes import Shape, Size, linear, norm, repeat
from embedding_model.inspection.families.table import Blueprint, Family, Positions, name_classes

_TYPES = "embeddings.token_type_embeddings.weight"
_HEADS = (Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION, Head.MASKED_LANGUAGE_MODEL)


def _attention(width: Size, inside: Size, *, bias: bool) -> dict[str, Shape]:
    """One layer's attention and norms under transformers' names; `inside` is heads x head size."""
    return {
        **linear("self_attn.q_proj", inside, width, bias=bias),
        **linear("self_attn.k_proj", inside, width, bias=bias),
        **linear("self_attn.v_proj", inside, width, bias=bias),
        **linear("self_attn.o_proj", width, inside, bias=bias),
        **norm("post_attention_layernorm", width),
        **norm("post_mlp_layernorm", width),
    }


def _packed_attention(name: str, width: Size, inside: Size, *, bias: bool) -> dict[str, Shape]:
    """The same under the names of flash-attention's BERT, which nomic and jina began with."""
    return {
        **linear(f"{name}.Wqkv", inside * 3, width, bias=bias),
        **linear(f"{name}.out_proj", width, inside, bias=bias),
        **norm("norm1", width),
        **norm("norm2", width),
    }


def _words_and_types(words: Size, types: Size | None, width: Size) -> dict[str, Shape]:
    return {WORDS: (words, width), **({_TYPES: (types, width)} if types else {})}


def _describe_nomic(settings: Settings) -> Blueprint:
    _require_plain_nomic(settings)
    settings.require_native("activation_function", "swiglu", None)
    for key in ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"):
        settings.require_native(key, False, None)
    words, width = settings.size("vocab_size"), settings.size("hidden_size", "n_embd")
    inner, heads = settings.size("intermediate_size", "n_inner"), settings.size("num_attention_heads", "n_head")
    settings.require_even_heads(width, heads)
    inside = heads * settings.size("head_dim", default=Size(width.value // heads.value, width.keys))
    count = settings.layers("num_hidden_layers", "n_layer")
    if settings.holds("attn.Wqkv."):
        layer = {
            **_packed_attention("attn", width, inside, bias=False),
            **linear("mlp.fc11", inner, width, bias=False),
            **linear("mlp.fc12", inner, width, bias=False),
            **linear("mlp.fc2", width, inner, bias=False),
        }
        layers, top = repeat("encoder.layers", count, layer), "emb_ln"
    else:
        layer = {
            **_attention(width, inside, bias=False),
            **linear("mlp.gate_proj", inner, width, bias=False),
            **linear("mlp.up_proj", inner, width, bias=False),
            **linear("mlp.down_proj", width, inner, bias=False),
        }
        layers, top = repeat("layers", count, layer), "embeddings.LayerNorm"
    return _nomic_blueprint(settings, words=words, width=width, top=top, layers=layers)


def _describe_nomic_experts(settings: Settings) -> Blueprint:
    """nomic-embed-text-v2-moe: in every n-th layer a router chooses among experts, whose matrices are stacked."""
    _require_plain_nomic(settings)
    settings.require_native("activation_function", "gelu")
    words, width, inner = settings.size("vocab_size"), settings.size("n_embd"), settings.size("n_inner")
    settings.require_even_heads(width, settings.size("n_head"))
    experts, every = settings.size("num_experts"), settings.size("moe_every_n_layers").value
    attention = _packed_attention("attn", width, width, bias=settings.flag("qkv_proj_bias", default=True))
    dense = {
        **attention,
        **linear("mlp.fc1", inner, width, bias=settings.flag("mlp_fc1_bias", default=True)),
        **linear("mlp.fc2", width, inner, bias=settings.flag("mlp_fc2_bias", default=True)),
    }
    mixture = {
        **attention,
        "mlp.router.layer.weight": (experts, width),
        "mlp.experts.mlp.w1": (experts * inner, width),
        "mlp.experts.mlp.w2": (experts * inner, width),
        "mlp.experts.bias": (width,),
    }
    layers = {
        f"encoder.layers.{number}.{name}": shape
        for number in range(settings.layers("n_layer"))
        for name, shape in (mixture if number % every == 1 else dense).items()
    }
    return _nomic_blueprint(settings, words=words, width=width, top="emb_ln", layers=layers)


def _require_plain_nomic(settings: Settings) -> None:
    """What the first configurations could switch and the classes here do not compute."""
    settings.require_native("causal", False, None)
    settings.require_native("prenorm", False, None)
    settings.require_native("parallel_block", False, None)
    settings.require_native("use_rms_norm", False, None)
    settings.require_native("rotary_emb_fraction", 1, 1.0, None)
    settings.require_native("rotary_emb_interleaved", False, None)
    settings.require_native("rotary_emb_scale_base", None)
    settings.require_native("rotary_scaling_factor", None)
    settings.require_native("scale_attn_weights", True, None)
    settings.require_native("scale_attn_by_inverse_layer_idx", False, None)


def _nomic_blueprint(settings: Settings, *, words: Size, width: Size, top: str, layers: dict[str, Shape]) -> Blueprint:
    tie = settings.flag("tie_word_embeddings", default=True)
    types = settings.optional_size("type_vocab_size", default=2)
    return Blueprint(
        body={**_words_and_types(words, types, width), **norm(top, width), **layers},
        optional=(pooler(width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=pooler(width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.MASKED_LANGUAGE_MODEL: bert_language_head(
                words, width, tie=tie, word_tensor=WORDS, norm_name="layer_norm"
            ),
        },
        width=width.value,
        words=WORDS,
        positions=_nomic_positions(settings),
    )


def _nomic_positions(settings: Settings) -> Positions:
    """n_positions (8192 in v1.5) is reached by rotary scaling, which is off: what it was trained on is what counts."""
    named = rotary(settings, "max_position_embeddings", "n_positions", default=2048)
    if settings.config.values.get("max_trained_positions") is None:
        return named
    trained = rotary(settings, "max_trained_positions")
    return trained if trained.count < named.count else named


def _describe_gte(settings: Settings) -> Blueprint:
    _require_plain_gte(settings)
    words, width, inner = (settings.size(key) for key in ("vocab_size", "hidden_size", "intermediate_size"))
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    count, types = settings.layers("num_hidden_layers"), settings.optional_size("type_vocab_size", default=1)
    if settings.holds("attention.qkv_proj."):
        layer = {
            **linear("attention.qkv_proj", width * 3, width),
            **linear("attention.o_proj", width, width),
            **norm("attn_ln", width),
            **linear("mlp.up_gate_proj", inner * 2, width, bias=False),
            **linear("mlp.down_proj", width, inner),
            **norm("mlp_ln", width),
        }
        layers, head_norm = repeat("encoder.layer", count, layer), "norm"
    else:
        layer = {
            **_attention(width, width, bias=True),
            **linear("mlp.gate_proj", inner, width, bias=False),
            **linear("mlp.up_proj", inner, width, bias=False),
            **linear("mlp.down_proj", width, inner),
        }
        layers, head_norm = repeat("layers", count, layer), "layer_norm"
    return Blueprint(
        body={**_words_and_types(words, types, width), **norm("embeddings.LayerNorm", width), **layers},
        optional=(pooler(width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: classifier("classifier", width, before=pooler(width)),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.MASKED_LANGUAGE_MODEL: HeadTensors(
                tensors={
                    **linear("lm_head.dense", width, width),
                    **norm(f"lm_head.{head_norm}", width),
                    **linear("lm_head.decoder", words, width),
                },
                tied={"lm_head.decoder.weight": WORDS} if settings.flag("tie_word_embeddings", default=True) else {},
            ),
        },
        width=width.value,
        words=WORDS,
        positions=rotary(settings, "max_position_embeddings", default=8192),
    )


def _require_plain_gte(settings: Settings) -> None:
    """model_type "new" could be told to compute otherwise; its NTK scaling is not among the rope types of GteModel."""
    settings.require_native("position_embedding_type", "rope", None)
    settings.require_native("pack_qkv", True, None)
    settings.require_native("layer_norm_type", "layer_norm", None)
    settings.require_native("logn_attention_scale", False, None)
    for key in ("rope_scaling", "rope_parameters"):
        scaling = settings.config.mapping(key)
        if scaling.get("rope_type", scaling.get("type")) == "ntk":
            settings.require_native(key, None)


def _describe_jina_v3(settings: Settings) -> Blueprint:
    words, width, inner = (settings.size(key) for key in ("vocab_size", "hidden_size", "intermediate_size"))
    settings.require_even_heads(width, settings.size("num_attention_heads"))
    count, types = settings.layers("num_hidden_layers"), settings.size("type_vocab_size", default=1)
    feed_forward = {**linear("mlp.fc1", inner, width), **linear("mlp.fc2", width, inner)}
    if settings.holds("mixer.Wqkv."):
        layer = {**_packed_attention("mixer", width, width, bias=True), **feed_forward}
        layers, top = repeat("encoder.layers", count, layer), "emb_ln"
    else:
        layers = repeat("layers", count, {**_attention(width, width, bias=True), **feed_forward})
        top = "embeddings.LayerNorm"
    tie = settings.flag("tie_word_embeddings", default=True)
    return Blueprint(
        body={**_words_and_types(words, types, width), **norm(top, width), **layers},
        optional=(pooler(width),),
        heads={
            Head.SEQUENCE_CLASSIFICATION: two_layer_classifier(width),
            Head.TOKEN_CLASSIFICATION: classifier("classifier", width),
            Head.QUESTION_ANSWERING: span_head(width),
            Head.MASKED_LANGUAGE_MODEL: roberta_language_head(words, width, tie=tie, word_tensor=WORDS),
        },
        width=width.value,
        words=WORDS,
        positions=rotary(settings, "max_position_embeddings", default=8194),
    )


NOMIC_BERT = Family(
    name="nomic_bert",
    classes=name_classes("NomicBert", heads=_HEADS),
    prefixes=("nomic_bert", "bert"),
    describe=_describe_nomic,
    unused=("pooler.", "cls."),
)
NOMIC_BERT_MOE = Family(
    name="nomic_bert_moe",
    classes=name_classes("NomicBert", heads=_HEADS),
    prefixes=("bert",),
    describe=_describe_nomic_experts,
    activation=None,
    unused=("pooler.", "cls."),
)
GTE = Family(
    name="gte",
    classes=name_classes("Gte", heads=_HEADS),
    prefixes=("gte", "new"),
    describe=_describe_gte,
    unused=("pooler.", "lm_head."),
)
JINA_EMBEDDINGS_V3 = Family(
    name="jina_embeddings_v3",
    classes=name_classes("JinaEmbeddingsV3", heads=(*_HEADS, Head.QUESTION_ANSWERING)),
    prefixes=("roberta",),
    describe=_describe_jina_v3,
    unused=("pooler.", "lm_head."),
)
