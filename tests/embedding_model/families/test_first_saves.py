"""Names and configurations from before transformers had a class: read where they mean the same, refused elsewhere."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from built_classes import stored
from jina_bert_tensors import CONFIG, layer_list

from embedding_model.inspection.architecture import hash_configuration, identify
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.identified import Head
from embedding_model.refusal import Reason, Refusal

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, rows: int, columns: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (rows, columns), **({f"{name}.bias": (rows,)} if bias else {})}


def norm(name: str) -> Shapes:
    return {f"{name}.weight": (8,), f"{name}.bias": (8,)}


def words_and_types(types: int) -> Shapes:
    table = {"embeddings.token_type_embeddings.weight": (types, 8)} if types else {}
    return {"embeddings.word_embeddings.weight": (40, 8), **table}


def layered(prefix: str, layer: Shapes, *, count: int = 2) -> Shapes:
    return {f"{prefix}.{number}.{name}": shape for number in range(count) for name, shape in layer.items()}


NOMIC = {
    **words_and_types(2),
    **norm("emb_ln"),
    **layered(
        "encoder.layers",
        {
            **linear("attn.Wqkv", 24, 8, bias=False),
            **linear("attn.out_proj", 8, 8, bias=False),
            **linear("mlp.fc11", 12, 8, bias=False),
            **linear("mlp.fc12", 12, 8, bias=False),
            **linear("mlp.fc2", 8, 12, bias=False),
            **norm("norm1"),
            **norm("norm2"),
        },
    ),
}
NEW = {
    **words_and_types(1),
    **norm("embeddings.LayerNorm"),
    **layered(
        "encoder.layer",
        {
            **linear("attention.qkv_proj", 24, 8),
            **linear("attention.o_proj", 8, 8),
            **norm("attn_ln"),
            **linear("mlp.up_gate_proj", 24, 8, bias=False),
            **linear("mlp.down_proj", 8, 12),
            **norm("mlp_ln"),
        },
    ),
}
FLASH = {
    **words_and_types(1),
    **norm("emb_ln"),
    **layered(
        "encoder.layers",
        {
            **linear("mixer.Wqkv", 24, 8),
            **linear("mixer.out_proj", 8, 8),
            **linear("mlp.fc1", 12, 8),
            **linear("mlp.fc2", 8, 12),
            **norm("norm1"),
            **norm("norm2"),
        },
    ),
}
_PACKED = {**linear("attn.Wqkv", 24, 8), **linear("attn.out_proj", 8, 8), **norm("norm1"), **norm("norm2")}
_EXPERTS = {
    "mlp.router.layer.weight": (3, 8),
    "mlp.experts.mlp.w1": (36, 8),
    "mlp.experts.mlp.w2": (36, 8),
    "mlp.experts.bias": (8,),
}
NOMIC_MOE = {
    **words_and_types(1),
    **norm("emb_ln"),
    **layered("encoder.layers", {**_PACKED, **linear("mlp.fc1", 12, 8), **linear("mlp.fc2", 8, 12)}, count=1),
    **{f"encoder.layers.1.{name}": shape for name, shape in {**_PACKED, **_EXPERTS}.items()},
}

USUAL = {
    "vocab_size": 40,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 8192,
    "type_vocab_size": 1,
}
# As nomic-ai/nomic-embed-text-v1.5 and Alibaba-NLP's `new` write them.
NOMIC_CONFIG = {
    "model_type": "nomic_bert",
    "architectures": ["NomicBertModel"],
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "activation_function": "swiglu",
    "causal": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "n_embd": 8,
    "n_head": 4,
    "n_inner": 12,
    "n_layer": 2,
    "n_positions": 8192,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 40,
}
MOE_CONFIG = {
    **NOMIC_CONFIG,
    "activation_function": "gelu",
    "mlp_fc1_bias": True,
    "mlp_fc2_bias": True,
    "qkv_proj_bias": True,
    "num_experts": 3,
    "moe_every_n_layers": 2,
    "moe_top_k": 2,
    "type_vocab_size": 1,
}
NEW_CONFIG = {
    **USUAL,
    "model_type": "new",
    "architectures": ["NewModel"],
    "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "pack_qkv": True,
    "position_embedding_type": "rope",
    "rope_scaling": None,
    "rope_theta": 160000,
}
FLASH_CONFIG = {**USUAL, "model_type": "jina_embeddings_v3", "architectures": ["JinaEmbeddingsV3Model"]}


def config_file(values: Mapping[str, Any], **changes: Any) -> JsonObject:
    return JsonObject("config.json", {**values, **changes})


def refuse(config: JsonObject, shapes: Shapes) -> Refusal:
    with pytest.raises(Refusal) as refused:
        identify(config, stored(shapes))
    return refused.value


@pytest.mark.parametrize(
    ("values", "shapes", "family", "name"),
    [
        (NOMIC_CONFIG, NOMIC, "nomic_bert", "NomicBertModel"),
        (MOE_CONFIG, NOMIC_MOE, "nomic_bert_moe", "NomicBertModel"),
        (NEW_CONFIG, NEW, "gte", "GteModel"),
        ({**NEW_CONFIG, "model_type": "gte"}, NEW, "gte", "GteModel"),
        (FLASH_CONFIG, FLASH, "jina_embeddings_v3", "JinaEmbeddingsV3Model"),
    ],
    ids=["nomic", "nomic with experts", "new", "gte", "jina v3"],
)
def test_the_first_names_of_a_family_are_known(values: dict[str, Any], shapes: Shapes, family: str, name: str) -> None:
    found = identify(config_file(values), stored(shapes))
    assert (found.family, found.architectures[None], found.hidden_size) == (family, name, 8)
    assert (found.positions, found.position_tensor) == (8192, None)
    if "auto_map" in values:
        assert "auto_map.AutoModel" in found.overruled[-1]
    for tensor in shapes:
        assert refuse(config_file(values), {key: shape for key, shape in shapes.items() if key != tensor})


def test_nomic_is_as_long_as_it_was_trained_where_no_scaling_stretches_it() -> None:
    found = identify(config_file(NOMIC_CONFIG, max_trained_positions=2048), stored(NOMIC))
    assert (found.positions, found.position_note) == (2048, "rotary positions, max_trained_positions 2048")


@pytest.mark.parametrize(
    ("values", "shapes", "start"),
    [(NOMIC_CONFIG, NOMIC, "NomicBert"), (NEW_CONFIG, NEW, "Gte"), (FLASH_CONFIG, FLASH, "JinaEmbeddingsV3")],
    ids=["nomic", "gte", "jina v3"],
)
def test_transformers_reads_the_first_names_without_a_tensor_missing_or_left_over(
    values: dict[str, Any], shapes: Shapes, start: str, tmp_path: Path
) -> None:
    import torch
    import transformers
    from safetensors.torch import save_file

    own = getattr(transformers, f"{start}Config")(**USUAL | {"type_vocab_size": values["type_vocab_size"]})
    own.save_pretrained(tmp_path)
    tensors = {name: torch.rand(shape) for name, shape in shapes.items()}
    tensors |= {name: torch.rand(shape) for name, shape in linear("pooler.dense", 8, 8).items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model_class = getattr(transformers, f"{start}Model")
    _, info = model_class.from_pretrained(tmp_path, add_pooling_layer=True, output_loading_info=True)
    assert (set(info["missing_keys"]), set(info["unexpected_keys"])) == (set(), set())


@pytest.mark.parametrize(
    ("values", "shapes", "changes"),
    [
        (NOMIC_CONFIG, NOMIC, {"causal": True}),
        (NOMIC_CONFIG, NOMIC, {"prenorm": True}),
        (NOMIC_CONFIG, NOMIC, {"parallel_block": True}),
        (NOMIC_CONFIG, NOMIC, {"use_rms_norm": True}),
        (NOMIC_CONFIG, NOMIC, {"rotary_emb_fraction": 0.5}),
        (NOMIC_CONFIG, NOMIC, {"rotary_emb_fraction": 0.0}),
        (NOMIC_CONFIG, NOMIC, {"rotary_emb_interleaved": True}),
        (NOMIC_CONFIG, NOMIC, {"rotary_scaling_factor": 2}),
        (NOMIC_CONFIG, NOMIC, {"activation_function": "gelu"}),
        (NOMIC_CONFIG, NOMIC, {"qkv_proj_bias": True}),
        (NEW_CONFIG, NEW, {"rope_scaling": {"type": "ntk", "factor": 8.0}}),
        (NEW_CONFIG, NEW, {"position_embedding_type": "absolute"}),
        (NEW_CONFIG, NEW, {"logn_attention_scale": True}),
        (NEW_CONFIG, NEW, {"layer_norm_type": "rms_norm"}),
        (NEW_CONFIG, NEW, {"pack_qkv": False}),
        (FLASH_CONFIG, FLASH, {"model_type": "xlm-roberta"}),
        (FLASH_CONFIG, FLASH, {"lora_adaptations": ["retrieval.query"]}),
    ],
    ids=str,
)
def test_what_only_the_first_code_computes_is_refused(
    values: dict[str, Any], shapes: Shapes, changes: dict[str, Any]
) -> None:
    refused = refuse(config_file(values, **changes), shapes)
    assert refused.reason is Reason.REMOTE_CODE_REQUIRED
    assert "own" in refused.message.lower() or "never run" in refused.message


def test_tensors_that_only_the_first_code_knows_are_refused_as_such() -> None:
    refused = refuse(config_file(NEW_CONFIG), {**NEW, "encoder.layer.0.attention.bias_table": (4, 8)})
    assert refused.reason is Reason.REMOTE_CODE_REQUIRED
    assert "bias_table" in refused.message
    assert "auto_map.AutoModel" in refused.message


def test_a_lost_tensor_is_not_blamed_on_code() -> None:
    refused = refuse(
        config_file(NEW_CONFIG), {name: s for name, s in NEW.items() if name != "encoder.layer.0.attn_ln.bias"}
    )
    assert refused.reason is Reason.INCOMPLETE_WEIGHTS


@pytest.mark.parametrize(
    ("variant", "family"), [("gated", "jina_bert"), ("original", "jina_bert"), ("code", "jina_bert_code")]
)
def test_jina_bert_is_told_apart_from_bert(variant: str, family: str) -> None:
    found = identify(config_file(CONFIG[variant]), stored(layer_list(variant)))
    assert (found.family, found.architectures[None]) == (family, "JinaBertModel")
    assert (found.positions, found.position_tensor) == (8192, None)
    assert "ALiBi" in found.position_note


@pytest.mark.parametrize("variant", ["gated", "code"])
def test_the_tensors_of_jina_bert_tell_where_no_name_does(variant: str) -> None:
    bare = {
        key: value
        for key, value in CONFIG[variant].items()
        if key not in ("position_embedding_type", "feed_forward_type")
    }
    assert identify(config_file(bare), stored(layer_list(variant))).architectures[None] == "JinaBertModel"


def test_a_head_that_config_json_does_not_mention_is_found() -> None:
    """jina-reranker-v1-turbo-en: a masked language model by its config, one logit by its weights."""
    auto = {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}
    config = config_file(CONFIG["gated"], architectures=["JinaBertForMaskedLM"], auto_map=auto)
    found = identify(config, stored(layer_list("gated", prefix="bert.") | linear("classifier", 1, 8)))
    assert found.heads == {Head.SEQUENCE_CLASSIFICATION}
    assert found.label_count == 1
    assert found.overruled[0] == "JinaBertForMaskedLM (config.json architectures)"


def test_alibi_in_config_json_over_a_table_of_positions_is_refused() -> None:
    shapes = {**layer_list("original"), "embeddings.position_embeddings.weight": (8192, 8)}
    refused = refuse(config_file(CONFIG["original"]), shapes)
    assert "position_embedding_type" in refused.message


def test_the_language_head_makes_its_tie_count() -> None:
    tied, untied = config_file(USUAL, tie_word_embeddings=True), config_file(USUAL, tie_word_embeddings=False)
    assert hash_configuration(tied) == hash_configuration(untied)
    masked = (Head.MASKED_LANGUAGE_MODEL,)
    assert hash_configuration(tied, heads=masked) != hash_configuration(untied, heads=masked)


def test_names_with_and_without_prefix_are_two_models() -> None:
    shapes = layer_list("gated", prefix="bert.")
    mixed = {name.removeprefix("bert.") if ".1." in name else name: shape for name, shape in shapes.items()}
    refused = refuse(config_file(CONFIG["gated"]), mixed)
    assert refused.reason is Reason.CONTRADICTORY_EVIDENCE


def test_the_same_tensor_under_two_names_is_refused() -> None:
    tensors = stored(layer_list("gated"))
    word = tensors["embeddings.word_embeddings.weight"]
    twice = {**tensors, f"bert.{word.name}": replace(word, name=f"bert.{word.name}")}
    with pytest.raises(Refusal) as refused:
        identify(config_file(CONFIG["gated"]), twice)
    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE
