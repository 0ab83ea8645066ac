"""A config.json that tells transformers what to do, or that no network can be computed with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import seeded_models
import torch
from loaded_model import Loaded

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Quantization
from embedding_model.serving import Overrides
from embedding_runtime.settings import Dtype

TEXTS = ["the cat sat on a mat", "cats, dogs and houses stood among the trees"]


def change(folder: Path, **values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return folder


@pytest.mark.parametrize("family", ["nomic_bert", "distilbert", "qwen3"])
@pytest.mark.parametrize(
    "orders",
    [
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "flash_attention_2"},
        {"experts_implementation": "own/kernels"},
        {"dtype": "load"},
        {"torch_dtype": "float16"},
        {"return_dict": False, "use_return_dict": False},
        {"output_attentions": True, "output_hidden_states": True},
        {"chunk_size_feed_forward": 3},
        {"attribute_map": {"hidden_size": "own"}, "validate": 1, "to_dict": 1, "__dict__": {}},
    ],
    ids=lambda orders: next(iter(orders)),
)
def test_what_does_not_describe_the_network_does_not_reach_transformers(
    tmp_path: Path, family: str, orders: dict[str, Any]
) -> None:
    folder = seeded_models.build(tmp_path, family=family)
    expected = Loaded(folder).encode(TEXTS)
    np.testing.assert_array_equal(Loaded(change(folder, **orders)).encode(TEXTS), expected)


@pytest.mark.parametrize(
    ("family", "values"),
    [
        ("gemma2", {"query_pre_attn_scalar": 0}),
        ("gemma2", {"query_pre_attn_scalar": -1}),
        ("qwen3", {"layer_types": ["sliding_attention", "sliding_attention"]}),
        ("qwen3", {"rms_norm_eps": "x" * 1000}),
        ("nomic_bert", {"pad_token_id": 10**9}),
        ("bert", {"layer_norm_eps": "small"}),
        ("jina_embeddings_v3", {"head_dim": -1}),
    ],
)
def test_a_configuration_that_cannot_be_computed_with_is_refused(
    tmp_path: Path, family: str, values: dict[str, Any]
) -> None:
    folder = change(seeded_models.build(tmp_path, family=family), **values)
    with pytest.raises(Refusal) as refused:
        Loaded(folder)
    assert refused.value.reason is Reason.INVALID_FILE
    assert len(refused.value.message) < 600


def test_an_answer_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    """The weights are numbers, and their product overflows."""
    folder = seeded_models.build(tmp_path, family="bert")
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    for name in ("weight", "bias"):
        tensors[f"encoder.layer.1.output.LayerNorm.{name}"].fill_(3e38)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(Refusal, match="answers a short text with NaN or infinity") as refused:
        Loaded(folder)
    assert refused.value.reason is Reason.INVALID_FILE


def test_a_padding_token_beyond_the_vocabulary_is_not_looked_up(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert")
    expected = Loaded(folder).encode(TEXTS)
    np.testing.assert_array_equal(Loaded(change(folder, pad_token_id=10**9)).encode(TEXTS), expected)


def change_weights(folder: Path, *, name: str, value: float) -> None:
    """One number of a tensor becomes `value`."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors[name][3, 4] = value
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("quantization", list(Quantization))
def test_a_broken_weight_that_does_not_reach_the_answer_is_refused_too(
    tmp_path: Path, quantization: Quantization, value: float
) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3")
    change_weights(folder, name="layers.1.self_attn.q_proj.weight", value=value)
    with pytest.raises(Refusal, match=r"q_proj\.weight holds NaN or infinity") as refused:
        Loaded(folder, dtype=Dtype.AUTO, overrides=Overrides(quantization=quantization))
    assert refused.value.reason is Reason.INVALID_FILE


def test_a_weight_that_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert")
    change_weights(folder, name="encoder.layer.1.output.dense.weight", value=1e5)
    Loaded(folder)
    with pytest.raises(Refusal, match="too large for float16"):
        Loaded(folder, dtype=Dtype.FLOAT16)


@pytest.mark.parametrize("quantization", [Quantization.INT8, Quantization.INT4])
def test_a_layer_that_cannot_be_rounded_is_refused(tmp_path: Path, quantization: Quantization) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3", intermediate_size=1)
    with pytest.raises(Refusal, match="cannot be quantised") as refused:
        Loaded(folder, dtype=Dtype.AUTO, overrides=Overrides(quantization=quantization))
    assert refused.value.field == "runtime.quantization"
