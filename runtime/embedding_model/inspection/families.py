"""The architecture families that are served: which tensors they need, of which shape, and where positions begin.

The tables restate the modules of transformers (models/bert, roberta, xlm_roberta, camembert, mpnet, distilbert);
a test builds each class and compares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# Symbols of shapes, by the configuration value that they stand for.
VOCABULARY, HIDDEN, POSITIONS, TYPES = "vocabulary", "hidden", "positions", "types"
INTERMEDIATE, HEADS, BUCKETS = "intermediate", "heads", "buckets"

Shape = tuple[str, ...]


@dataclass(frozen=True)
class FirstPosition:
    """The index of the first token's position embedding: a constant, or one more than the padding token's id."""

    constant: int = 0
    after_padding_token: bool = False
    default_padding_token: int = 1


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family of encoders.

    `model_type` is config.json's word for it, `architecture` the class of transformers that loads it without a head.
    `prefix` precedes the names of checkpoints that were saved with a head. `sizes` maps symbols of shapes to keys of
    config.json. `fixed` and `layer` give the tensors and their shapes; in `layer` names are relative to
    `layers` + number. `unused` are beginnings of names that an embedder has no use for: language-model heads, buffers.
    `activation` is config.json's key of the activation function; without it transformers takes gelu.
    `size_defaults` are transformers' own values for sizes that old config.json files leave out.
    """

    model_type: str
    architecture: str
    prefix: str
    sizes: Mapping[str, str]
    fixed: Mapping[str, Shape]
    layers: str
    layer_count: str
    layer: Mapping[str, Shape]
    activation: str
    unused: tuple[str, ...]
    first_position: FirstPosition
    size_defaults: Mapping[str, int] = field(default_factory=dict)

    def expected_tensors(self, *, layer_count: int) -> dict[str, Shape]:
        """Name (without prefix) and symbolic shape of every tensor that a model of so many layers needs."""
        expected = dict(self.fixed)
        for number in range(layer_count):
            expected.update({f"{self.layers}{number}.{name}": shape for name, shape in self.layer.items()})
        return expected


def canonical_names(names: Iterable[str], *, family: Family) -> dict[str, str]:
    """Stored name -> name in the class without a head.

    Takes the prefix of checkpoints with a head away and turns TensorFlow's LayerNorm.gamma and .beta into .weight and
    .bias, as transformers does when it loads.
    """
    prefix = family.prefix + "."
    return {
        name: name.removeprefix(prefix)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
        for name in names
    }


def _linear(name: str, *, rows: str, columns: str) -> dict[str, Shape]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str) -> dict[str, Shape]:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


_EMBEDDINGS: dict[str, Shape] = {
    "embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN),
    "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
    **_norm("embeddings.LayerNorm"),
}
_TOKEN_TYPES: dict[str, Shape] = {"embeddings.token_type_embeddings.weight": (TYPES, HIDDEN)}
_FEED_FORWARD: dict[str, Shape] = {
    **_linear("intermediate.dense", rows=INTERMEDIATE, columns=HIDDEN),
    **_linear("output.dense", rows=HIDDEN, columns=INTERMEDIATE),
    **_norm("output.LayerNorm"),
}
_BERT_LAYER: dict[str, Shape] = {
    **_linear("attention.self.query", rows=HIDDEN, columns=HIDDEN),
    **_linear("attention.self.key", rows=HIDDEN, columns=HIDDEN),
    **_linear("attention.self.value", rows=HIDDEN, columns=HIDDEN),
    **_linear("attention.output.dense", rows=HIDDEN, columns=HIDDEN),
    **_norm("attention.output.LayerNorm"),
    **_FEED_FORWARD,
}
_SIZES = {
    VOCABULARY: "vocab_size",
    HIDDEN: "hidden_size",
    POSITIONS: "max_position_embeddings",
    INTERMEDIATE: "intermediate_size",
    HEADS: "num_attention_heads",
}
# Buffers that old versions saved, and the pooler, which feeds classification heads only.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids", "pooler.")
_AFTER_PADDING = FirstPosition(after_padding_token=True)


def _bert_like(model_type: str, *, architecture: str, prefix: str, head: str, first_position: FirstPosition) -> Family:
    return Family(
        model_type=model_type,
        architecture=architecture,
        prefix=prefix,
        sizes={**_SIZES, TYPES: "type_vocab_size"},
        fixed={**_EMBEDDINGS, **_TOKEN_TYPES},
        layers="encoder.layer.",
        layer_count="num_hidden_layers",
        layer=_BERT_LAYER,
        activation="hidden_act",
        unused=(*_BUFFERS, head),
        first_position=first_position,
        size_defaults={TYPES: 2},
    )


_BERT = _bert_like("bert", architecture="BertModel", prefix="bert", head="cls.", first_position=FirstPosition())
_ROBERTAS = tuple(
    _bert_like(model_type, architecture=architecture, prefix="roberta", head="lm_head.", first_position=_AFTER_PADDING)
    for model_type, architecture in (
        ("roberta", "RobertaModel"),
        ("xlm-roberta", "XLMRobertaModel"),
        ("camembert", "CamembertModel"),
    )
)
_MPNET = Family(
    model_type="mpnet",
    architecture="MPNetModel",
    prefix="mpnet",
    sizes={**_SIZES, BUCKETS: "relative_attention_num_buckets"},
    fixed={**_EMBEDDINGS, "encoder.relative_attention_bias.weight": (BUCKETS, HEADS)},
    layers="encoder.layer.",
    layer_count="num_hidden_layers",
    layer={
        **_linear("attention.attn.q", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.attn.k", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.attn.v", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.attn.o", rows=HIDDEN, columns=HIDDEN),
        **_norm("attention.LayerNorm"),
        **_FEED_FORWARD,
    },
    activation="hidden_act",
    unused=(*_BUFFERS, "lm_head."),
    first_position=FirstPosition(constant=2),  # MPNetEmbeddings fixes padding_idx = 1
    size_defaults={BUCKETS: 32},
)
_DISTILBERT = Family(
    model_type="distilbert",
    architecture="DistilBertModel",
    prefix="distilbert",
    sizes={
        VOCABULARY: "vocab_size",
        HIDDEN: "dim",
        POSITIONS: "max_position_embeddings",
        INTERMEDIATE: "hidden_dim",
        HEADS: "n_heads",
    },
    fixed=_EMBEDDINGS,
    layers="transformer.layer.",
    layer_count="n_layers",
    layer={
        **_linear("attention.q_lin", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.k_lin", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.v_lin", rows=HIDDEN, columns=HIDDEN),
        **_linear("attention.out_lin", rows=HIDDEN, columns=HIDDEN),
        **_norm("sa_layer_norm"),
        **_linear("ffn.lin1", rows=INTERMEDIATE, columns=HIDDEN),
        **_linear("ffn.lin2", rows=HIDDEN, columns=INTERMEDIATE),
        **_norm("output_layer_norm"),
    },
    activation="activation",
    unused=(*_BUFFERS, "vocab_transform.", "vocab_layer_norm.", "vocab_projector."),
    first_position=FirstPosition(),
)

# The names of activation functions that transformers knows (activations.ACT2CLS) and encoders use.
ACTIVATIONS = frozenset(
    {
        "gelu",
        "gelu_10",
        "gelu_accurate",
        "gelu_fast",
        "gelu_new",
        "gelu_python",
        "gelu_pytorch_tanh",
        "mish",
        "quick_gelu",
        "relu",
        "relu2",
        "silu",
        "swish",
        "tanh",
    }
)

FAMILIES: Mapping[str, Family] = {family.model_type: family for family in (_BERT, *_ROBERTAS, _MPNET, _DISTILBERT)}
