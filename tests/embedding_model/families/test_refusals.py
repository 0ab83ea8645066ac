"""What is no family of ours, and configurations that mean harm: a refusal that says what it is, in little time."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from built_classes import CASES, build, config_of, stored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_values import json_values

from embedding_model.inspection.architecture import identify
from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.identified import Identified
from embedding_model.inspection.tensors import Tensor
from embedding_model.refusal import Reason, Refusal

BERT = next(index for index, case in enumerate(CASES) if case.family == "bert")
QWEN = next(index for index, case in enumerate(CASES) if case.family == "qwen3")
GEMMA = next(index for index, case in enumerate(CASES) if case.family == "gemma2")
MODERN = next(index for index, case in enumerate(CASES) if case.family == "modernbert")
NOMIC = next(index for index, case in enumerate(CASES) if case.family == "nomic_bert")
WRONG = Reason.INVALID_FILE
REMOTE, UNKNOWN = Reason.REMOTE_CODE_REQUIRED, Reason.UNSUPPORTED_ARCHITECTURE


def body(index: int) -> tuple[JsonObject, dict[str, Tensor]]:
    name = FAMILIES[CASES[index].family].architecture
    return config_of(index, None, name), stored(build(index, None, name)[0])


def refuse(index: int, *, more: dict[str, tuple[int, ...]] | None = None, **changes: Any) -> Refusal:
    config, tensors = body(index)
    values = {key: value for key, value in {**config.values, **changes}.items() if value is not ...}
    with pytest.raises(Refusal) as refused:
        identify(replace(config, values=values), tensors | stored(more or {}))
    return refused.value


CODE = {"AutoModel": "modeling_own.OwnModel"}


@pytest.mark.parametrize(
    ("index", "changes", "reason", "says"),
    [
        (
            BERT,
            {"model_type": "mamba"},
            UNKNOWN,
            'model_type is "mamba"; the families that are known are bert, roberta',
        ),
        (BERT, {"model_type": ...}, UNKNOWN, "model_type is not there"),
        (BERT, {"model_type": "jina_bert"}, UNKNOWN, 'model_type is "jina_bert"'),
        (BERT, {"model_type": "clip"}, UNKNOWN, "images and text (CLIP)"),
        (BERT, {"model_type": "colpali"}, UNKNOWN, "ColPali"),
        (BERT, {"model_type": "minicpm", "auto_map": CODE}, REMOTE, "layerwise"),
        (BERT, {"model_type": "own", "auto_map": CODE}, REMOTE, "auto_map.AutoModel"),
        (QWEN, {"architectures": ["JinaForRanking"], "auto_map": CODE}, REMOTE, "listwise reranker"),
        (BERT, {"architectures": ["BertForMultipleChoice"]}, UNKNOWN, "multiple-choice"),
        (QWEN, {"vision_config": {}}, UNKNOWN, "images or sound"),
        (GEMMA, {"is_causal": False}, REMOTE, "is_causal is false"),
        (GEMMA, {"use_bidirectional_attention": True}, REMOTE, "use_bidirectional_attention is true"),
        (QWEN, {"use_bidirectional_attention": True}, REMOTE, "use_bidirectional_attention is true"),
        (QWEN, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, UNKNOWN, 'the type "dynamic"'),
        (QWEN, {"rope_parameters": {"rope_type": "longrope"}}, UNKNOWN, 'the type "longrope"'),
        (QWEN, {"rope_parameters": {"full_attention": {"rope_type": "dynamic"}}}, UNKNOWN, 'the type "dynamic"'),
        (MODERN, {"rope_parameters": {"full_attention": {"rope_type": "dynamic"}}}, UNKNOWN, 'the type "dynamic"'),
        (NOMIC, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, UNKNOWN, 'the type "dynamic"'),
        (
            NOMIC,
            {"rope_parameters": {"rope_type": "linear", "factor": 0}},
            WRONG,
            "expected factor to be a number above",
        ),
        (QWEN, {"rope_parameters": {"rope_type": "default", "rope_theta": 0}}, WRONG, "expected rope_theta to be a"),
        (NOMIC, {"max_position_embeddings": 2**30}, WRONG, "max_position_embeddings is 1073741824; expected at most"),
        (GEMMA, {"sliding_window": 0}, WRONG, "expected sliding_window to be a whole number of at least 1"),
        (MODERN, {"local_attention": -1}, WRONG, "expected local_attention to be a whole number of at least 1"),
        (MODERN, {"is_causal": True}, UNKNOWN, "is_causal is true, but modernbert"),
        (BERT, {"is_causal": "false"}, WRONG, "expected is_causal to be true or false"),
        (QWEN, {"per_layer_config": {"0": {"sliding_window": 1}}}, UNKNOWN, "per_layer_config"),
        (BERT, {"architectures": ["RobertaModel"]}, Reason.CONTRADICTORY_EVIDENCE, "which is roberta"),
        (BERT, {"model_type": "roberta", "pad_token_id": 1}, Reason.CONTRADICTORY_EVIDENCE, "which is bert"),
        (QWEN, {"auto_map": CODE}, REMOTE, "both directions"),
        (BERT, {"is_decoder": True}, UNKNOWN, "is_decoder is true"),
        (BERT, {"add_cross_attention": True}, UNKNOWN, "add_cross_attention is true"),
        (BERT, {"position_embedding_type": "relative_key"}, UNKNOWN, 'position_embedding_type is "relative_key"'),
        (BERT, {"hidden_act": "own"}, UNKNOWN, 'hidden_act is "own"'),
        (MODERN, {"classifier_pooling": "max"}, UNKNOWN, 'classifier_pooling is "max"'),
        (BERT, {"num_attention_heads": 3}, Reason.CONTRADICTORY_EVIDENCE, "cannot be divided"),
        (QWEN, {"num_key_value_heads": 3}, Reason.CONTRADICTORY_EVIDENCE, "cannot be divided"),
        (BERT, {"vocab_size": 41}, Reason.CONTRADICTORY_EVIDENCE, "(vocab_size, hidden_size) says [41, 8]"),
        (BERT, {"quantization_config": {"quant_method": "gptq"}}, Reason.UNSUPPORTED_FORMAT, "quantization_config"),
    ],
    ids=str,
)
def test_what_is_not_known_is_refused_by_name(index: int, changes: dict[str, Any], reason: Reason, says: str) -> None:
    refused = refuse(index, **changes)
    assert refused.reason is reason, refused.message
    assert says in refused.message


@pytest.mark.parametrize("name", ["qweight", "weight_scale", "g_idx", "weight_packed"])
def test_names_that_quantisers_write_are_recognised(name: str) -> None:
    refused = refuse(QWEN, more={f"layers.0.mlp.up_proj.{name}": (3, 3)})
    assert refused.reason is Reason.UNSUPPORTED_FORMAT


def test_a_head_that_config_json_names_in_vain_is_told() -> None:
    config, tensors = body(BERT)
    named = replace(config, values={**config.values, "architectures": ["BertForSequenceClassification"]})
    found = identify(named, tensors)
    assert (found.heads, found.missing_heads) == (frozenset(), {"ForSequenceClassification"})
    assert found.overruled == ("BertForSequenceClassification (config.json architectures)",)


def test_a_body_saved_with_the_head_that_is_missing_is_refused() -> None:
    config, tensors = body(BERT)
    named = replace(config, values={**config.values, "architectures": ["BertForSequenceClassification"]})
    with pytest.raises(Refusal, match="newly initialised") as refused:
        identify(named, {f"bert.{name}": replace(item, name=f"bert.{name}") for name, item in tensors.items()})
    assert refused.value.reason is Reason.INCOMPLETE_WEIGHTS


def test_labels_that_config_json_counts_otherwise_are_refused() -> None:
    head = {"classifier.weight": (3, 8), "classifier.bias": (3,)}
    refused = refuse(BERT, more=head, id2label={"0": "no", "1": "yes"})
    assert refused.reason is Reason.CONTRADICTORY_EVIDENCE
    assert "3 rows" in refused.message


def test_own_code_that_is_not_needed_is_overruled() -> None:
    config, tensors = body(BERT)
    found = identify(replace(config, values={**config.values, "auto_map": CODE}), tensors)
    assert found.overruled == ('own code, auto_map.AutoModel = "modeling_own.OwnModel" (config.json)',)


def test_float16_is_named_where_it_gives_wrong_numbers() -> None:
    avoided = {name for name, family in FAMILIES.items() if "float16" in family.avoid_dtypes}
    assert avoided == {"deberta-v2", "gemma3_text", "t5"}


def try_identify(config: JsonObject, tensors: dict[str, Tensor]) -> Identified | Refusal:
    try:
        return identify(config, tensors)
    except Refusal as refusal:
        return refusal


def test_two_counts_together_make_no_table_long() -> None:
    albert = next(index for index, case in enumerate(CASES) if case.family == "albert")
    refused = refuse(albert, num_hidden_groups=1000, inner_group_num=1000)
    assert refused.reason is Reason.INVALID_FILE
    assert "1000000; expected at most 1000" in refused.message


HUGE = (10**9, 10**18, 2**63, -1, 0, 1e30, "10", True, None, [], {}, [10**9], "x" * 10_000)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.id for case in CASES])
def test_no_size_makes_a_table_long_or_a_message_huge(index: int) -> None:
    config, tensors = body(index)
    whole = identify(config, tensors)
    for key, value in itertools.product(config.values, HUGE):
        found = try_identify(replace(config, values={**config.values, key: value}), tensors)
        if isinstance(found, Refusal):
            assert len(found.message) < 2000, (key, value)
        else:
            kept = (found.family, found.hidden_size, found.heads)
            assert kept == (whole.family, whole.hidden_size, whole.heads), (key, value)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(range(len(CASES))), st.data())
def test_no_value_under_a_known_key_makes_a_family_crash(index: int, data: st.DataObject) -> None:
    config, tensors = body(index)
    keys = [*config.values, "auto_map", "id2label", "rope_scaling", "quantization_config", "pos_att_type", "is_causal"]
    changed = {**config.values, data.draw(st.sampled_from(keys)): data.draw(json_values)}
    found = try_identify(JsonObject("config.json", json.loads(json.dumps(changed))), tensors)
    assert isinstance(found, Identified) or found.message


names = st.text(max_size=12) | st.sampled_from(["score.weight", "classifier.bias", "layers.0.x", "lm_head.weight", "."])


@given(st.sampled_from(range(len(CASES))), names, st.lists(st.integers(0, 10**6), max_size=4))
def test_no_tensor_makes_a_family_crash(index: int, name: str, shape: list[int]) -> None:
    config, tensors = body(index)
    found = try_identify(config, {**tensors, name: Tensor(name=name, dtype="F32", shape=tuple(shape), file="m")})
    assert isinstance(found, Identified) or found.message
