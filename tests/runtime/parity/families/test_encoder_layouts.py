"""Older saves of a family, whose config.json and tensors speak in other words, give the same vectors."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
import torch
from loaded_model import Loaded
from parity import TEXTS
from safetensors.torch import load_file, save_file

from embedding_model.refusal import Reason, Refusal

_QUERY_KEY_VALUE = ("q_proj", "k_proj", "v_proj")


def _rewrite_config(folder: Path, *, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _rename(config: dict[str, Any], *, names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in config.items()}


def _first_nomic(config: dict[str, Any]) -> dict[str, Any]:
    """As nomic-ai/nomic-embed-text-v1.5 was published."""
    names = {
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "num_hidden_layers": "n_layer",
        "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
    }
    base = config.pop("rope_parameters")["rope_theta"]
    for key in ("hidden_act", "head_dim"):
        del config[key]
    first = {
        "activation_function": "swiglu",
        "causal": False,
        "mlp_fc1_bias": False,
        "mlp_fc2_bias": False,
        "qkv_proj_bias": False,
        "prenorm": False,
        "rotary_emb_base": base,
        "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False,
        "rotary_scaling_factor": None,
        "scale_attn_weights": True,
        "use_rms_norm": False,
    }
    return {**_rename(config, names=names), **first}


def _first_gte(config: dict[str, Any]) -> dict[str, Any]:
    """As Alibaba-NLP/gte-multilingual-base was published."""
    base = config.pop("rope_parameters")["rope_theta"]
    first = {
        "model_type": "new",
        "architectures": ["NewModel"],
        "layer_norm_type": "layer_norm",
        "logn_attention_scale": False,
        "pack_qkv": True,
        "position_embedding_type": "rope",
        "rope_scaling": None,
        "rope_theta": base,
        "unpad_inputs": False,
        "use_memory_efficient_attention": False,
    }
    return {**config, **first}


def _first_modernbert(config: dict[str, Any]) -> dict[str, Any]:
    """As version 4 of transformers saved it."""
    bases = config.pop("rope_parameters")
    del config["layer_types"]
    first = {
        "global_attn_every_n_layers": 2,
        "global_rope_theta": bases["full_attention"]["rope_theta"],
        "local_rope_theta": bases["sliding_attention"]["rope_theta"],
        "reference_compile": None,
    }
    return {**config, **first}


def _first_eurobert(config: dict[str, Any]) -> dict[str, Any]:
    base = config.pop("rope_parameters")["rope_theta"]
    return {**config, "rope_theta": base, "rope_scaling": None}


def _rope(base: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base}}


_ROPES = {
    "full_attention": {"rope_type": "default", "rope_theta": 70.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
}
# How the model is built, and its config.json in older words. No base of positions is anybody's default.
FIRST: Mapping[str, tuple[Mapping[str, Any], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "nomic_bert": ({**_rope(50.0), "layer_norm_eps": 1e-3}, _first_nomic),
    "gte": (_rope(50.0), _first_gte),
    "modernbert": ({"rope_parameters": _ROPES}, _first_modernbert),
    "eurobert": (_rope(50.0), _first_eurobert),
}


@pytest.mark.parametrize("family", FIRST)
def test_a_configuration_in_older_words_gives_the_same_vectors(family: str, tmp_path: Path) -> None:
    config, change = FIRST[family]
    folder = seeded_models.build(tmp_path / "model", family=family, **config)
    expected = Loaded(folder).encode(TEXTS)
    default = Loaded(seeded_models.build(tmp_path / "default", family=family)).encode(TEXTS)

    _rewrite_config(folder, change=change)

    np.testing.assert_allclose(Loaded(folder).encode(TEXTS), expected, atol=1e-6)
    assert np.abs(expected - default).max() > 1e-3, "the base of the positions must matter"


# What config.json leaves out stood for these in the code that the first saves came with.
LEFT_OUT: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
    "nomic_bert": ({**_rope(10_000.0), "layer_norm_eps": 1e-5}, ("rotary_emb_base", "layer_norm_epsilon")),
    "gte": (_rope(10_000.0), ("rope_theta", "rope_scaling")),
}


@pytest.mark.parametrize("family", LEFT_OUT)
def test_what_an_older_configuration_leaves_out_has_the_value_of_its_own_code(family: str, tmp_path: Path) -> None:
    config, left_out = LEFT_OUT[family]
    folder = seeded_models.build(tmp_path, family=family, **config)
    expected = Loaded(folder).encode(TEXTS)

    _, change = FIRST[family]
    _rewrite_config(folder, change=change)
    _rewrite_config(folder, change=lambda written: {k: v for k, v in written.items() if k not in left_out})

    np.testing.assert_allclose(Loaded(folder).encode(TEXTS), expected, atol=1e-6)


def _names_of_the_class(folder: Path, *, family: str) -> dict[str, torch.Tensor]:
    """The tensors as transformers' own class holds them in memory."""
    import transformers

    model = getattr(transformers, f"{seeded_models.RECIPES[family].start}Model").from_pretrained(folder)
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("family", ["nomic_bert", "gte", "jina_embeddings_v3"])
def test_packed_and_unpacked_matrices_give_the_same_vectors(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family)
    packed = load_file(folder / "model.safetensors")
    expected = Loaded(folder).encode(TEXTS)

    unpacked = _names_of_the_class(folder, family=family)
    save_file(unpacked, folder / "model.safetensors", metadata={"format": "pt"})

    assert not any(name.endswith(f".{part}.weight") for name in packed for part in _QUERY_KEY_VALUE)
    assert {name.rsplit(".", 2)[1] for name in unpacked} >= set(_QUERY_KEY_VALUE)
    np.testing.assert_allclose(Loaded(folder).encode(TEXTS), expected, atol=1e-6)


def test_weights_that_hold_adapters_chosen_by_task_are_refused(tmp_path: Path) -> None:
    """The adapters of jina-embeddings-v3 are chosen by its own code: without one, the vectors are another model's."""
    folder = seeded_models.build(tmp_path, family="jina_embeddings_v3")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layers.0.mixer.Wqkv.parametrizations.weight.0.lora_A"] = torch.zeros(5, 4, 64)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(Refusal, match="adapter") as refused:
        Loaded(folder)

    assert refused.value.reason is Reason.REMOTE_CODE_REQUIRED
