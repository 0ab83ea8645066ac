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
from embedding_runtime.core.inputs import Text

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


def test_a_padding_token_beyond_the_vocabulary_is_not_looked_up(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert")
    expected = Loaded(folder).encode(TEXTS)
    np.testing.assert_array_equal(Loaded(change(folder, pad_token_id=10**9)).encode(TEXTS), expected)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert")
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["encoder.layer.1.output.dense.weight"][3, 4] = torch.nan
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(Refusal, match="NaN or infinity") as refused:
        Loaded(folder).compute([Text("cat")])
    assert refused.value.reason is Reason.INVALID_FILE
