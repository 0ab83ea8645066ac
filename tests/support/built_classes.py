"""Classes of transformers built small, without memory for weights: their tensors' names and shapes are the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.identified import Head
from embedding_model.inspection.tensors import Tensor

SEQUENCE, TOKEN, QUESTION = Head.SEQUENCE_CLASSIFICATION, Head.TOKEN_CLASSIFICATION, Head.QUESTION_ANSWERING
MASKED, CAUSAL = Head.MASKED_LANGUAGE_MODEL, Head.CAUSAL_LANGUAGE_MODEL

_USUAL = {
    "vocab_size": 40,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 36,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_QUESTION_LABELS = 2  # start and end; some classes insist on it


@dataclass(frozen=True)
class Case:
    """One configuration of one family. `start` is the beginning of the names of its classes."""

    family: str
    start: str
    what: str = "as usual"
    changes: Mapping[str, Any] = field(default_factory=dict)
    labels: int = 3

    @property
    def id(self) -> str:
        return f"{self.family}, {self.what}"


_DISTIL = {"dim": 8, "hidden_dim": 12, "n_layers": 2, "n_heads": 4}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
_T5 = {"d_model": 8, "d_kv": 2, "d_ff": 12, "num_layers": 2, "num_heads": 4}
_MODERN = {"cls_token_id": 2, "sep_token_id": 3}
_EURO = {"mask_token_id": 4}
_GROUPED = {"num_key_value_heads": 2}

CASES = (
    Case("bert", "Bert"),
    Case("bert", "Bert", "one label, three layers", {"num_hidden_layers": 3}, labels=1),
    Case("bert", "Bert", "untied", {"tie_word_embeddings": False}, labels=2),
    Case("roberta", "Roberta", "one kind of token", {"type_vocab_size": 1}, labels=1),
    Case("xlm-roberta", "XLMRoberta", "padding 0", {"pad_token_id": 0}),
    Case("camembert", "Camembert", labels=2),
    Case("mpnet", "MPNet", labels=1),
    Case("distilbert", "DistilBert", changes=_DISTIL, labels=1),
    Case("electra", "Electra", "narrow embeddings", {"embedding_size": 4}, labels=1),
    Case("electra", "Electra", "embeddings as wide as layers", {"embedding_size": 8}),
    Case("albert", "Albert", "one group", {"embedding_size": 4}),
    Case("albert", "Albert", "two groups of two", {"embedding_size": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
    Case("deberta-v2", "DebertaV2", "absolute positions only", {}, labels=1),
    Case(
        "deberta-v2",
        "DebertaV2",
        "version 3",
        {**_RELATIVE, "share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False},
        labels=1,
    ),
    Case(
        "deberta-v2",
        "DebertaV2",
        "with a convolution, token types and narrow embeddings",
        {**_RELATIVE, "conv_kernel_size": 3, "conv_groups": 2, "type_vocab_size": 2, "embedding_size": 4},
    ),
    Case(
        "deberta-v2",
        "DebertaV2",
        "without buckets, untied",
        {"relative_attention": True, "pos_att_type": "c2p", "max_relative_positions": 9, "tie_word_embeddings": False},
    ),
    Case("deberta-v2", "DebertaV2", "its own language head", {**_RELATIVE, "legacy": False}),
    Case("modernbert", "ModernBert", changes=_MODERN, labels=1),
    Case(
        "modernbert",
        "ModernBert",
        "every bias",
        {**_MODERN, "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
    ),
    Case(
        "modernbert",
        "ModernBert",
        "no bias to words, untied",
        {**_MODERN, "decoder_bias": False, "tie_word_embeddings": False},
    ),
    Case("eurobert", "EuroBert", changes=_EURO, labels=1),
    Case(
        "eurobert", "EuroBert", "biases, shared keys", {**_EURO, **_GROUPED, "attention_bias": True, "mlp_bias": True}
    ),
    Case("eurobert", "EuroBert", "wide heads, tied", {**_EURO, "head_dim": 6, "tie_word_embeddings": True}),
    Case("nomic_bert", "NomicBert", labels=1),
    Case("nomic_bert", "NomicBert", "wide heads", {"head_dim": 6}),
    Case("gte", "Gte", labels=1),
    Case("gte", "Gte", "no token types", {"type_vocab_size": 0}),
    Case("jina_embeddings_v3", "JinaEmbeddingsV3", labels=1),
    Case("t5", "T5", changes=_T5),
    Case("t5", "T5", "gated", {**_T5, "feed_forward_proj": "gated-gelu"}),
    Case("llama", "Llama", labels=1),
    Case("llama", "Llama", "biases, shared keys", {**_GROUPED, "attention_bias": True, "mlp_bias": True}),
    Case("llama", "Llama", "wide heads, tied", {"head_dim": 6, "tie_word_embeddings": True}),
    Case("mistral", "Mistral", "shared keys", {**_GROUPED}, labels=1),
    Case("mistral", "Mistral", "wide heads", {"head_dim": 6, **_GROUPED}),
    Case("qwen2", "Qwen2", "shared keys, tied", {**_GROUPED, "tie_word_embeddings": True}, labels=1),
    Case("qwen2", "Qwen2", "wide heads", {"head_dim": 6, **_GROUPED}),
    Case("qwen3", "Qwen3", "shared keys, tied", {**_GROUPED, "tie_word_embeddings": True}, labels=1),
    Case("qwen3", "Qwen3", "biases, narrow heads", {**_GROUPED, "head_dim": 2, "attention_bias": True}),
    Case("gemma", "Gemma", "shared keys", {"num_key_value_heads": 1, "head_dim": 6}, labels=1),
    Case("gemma2", "Gemma2", "shared keys", {**_GROUPED, "head_dim": 6}, labels=1),
    Case("gemma2", "Gemma2", "biases, untied", {**_GROUPED, "attention_bias": True, "tie_word_embeddings": False}),
    Case("gemma3_text", "Gemma3Text", "shared keys", {**_GROUPED, "head_dim": 6}, labels=1),
    Case(
        "gemma3_text",
        "Gemma3Text",
        "in both directions",
        {"num_key_value_heads": 1, "use_bidirectional_attention": True},
    ),
)


@cache
def build_config(index: int, head: Head | None) -> Any:
    """The configuration of CASES[index], with as many labels as the head wants."""
    import transformers

    case = CASES[index]
    labels = _QUESTION_LABELS if head is QUESTION else case.labels
    values = {**_USUAL, **case.changes, "num_labels": labels}
    return getattr(transformers, f"{case.start}Config")(**values)


@cache
def build(index: int, head: Head | None, name: str) -> tuple[dict[str, tuple[int, ...]], dict[str, str], str]:
    """Name and shape of every tensor of a class, what is tied to what, and the prefix of its body."""
    import torch
    import transformers

    with torch.device("meta"):
        model = getattr(transformers, name)(build_config(index, head))
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    return shapes, dict(model.all_tied_weights_keys), model.base_model_prefix


def config_of(index: int, head: Head | None, name: str | None) -> JsonObject:
    """config.json as transformers saves it."""
    values = build_config(index, head).to_diff_dict()
    if name is not None:
        values["architectures"] = [name]
    return JsonObject("config.json", values)


def stored(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors as a header describes them."""
    return {
        name: Tensor(name=name, dtype="F32", shape=shape, file="model.safetensors") for name, shape in shapes.items()
    }
