"""Language models whose configuration says that they read in both directions, against a formula of our own.

transformers' classes do so where `is_causal` is false (gte-Qwen2 and its like). The formula is the published one of
Llama (arXiv 2302.13971, section 2.2) with Qwen2's biases and Qwen3's norms of heads, in float64, one text at a time.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import seeded_models
from loaded_model import Loaded
from safetensors.numpy import load_file

TEXTS = [text for text in parity.TEXTS if text]


def normed(values: Any, weight: Any, *, epsilon: float) -> Any:
    return values / np.sqrt((values**2).mean(axis=-1, keepdims=True) + epsilon) * weight


def rotated(values: Any, *, base: float) -> Any:
    """Rotary positions: the first half of a head turned against the second, by position / base ** (2 i / size)."""
    length, size = values.shape[-2:]
    angles = np.arange(length)[:, None] * base ** (-np.arange(0, size, 2) / size)[None, :]
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = values[..., : size // 2], values[..., size // 2 :]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def hidden_states(ids: Any, *, weights: dict[str, Any], config: dict[str, Any], base: float) -> Any:
    """float64 [length, width] of one text, every token seeing every other."""
    epsilon, heads, pairs = config["rms_norm_eps"], config["num_attention_heads"], config["num_key_value_heads"]
    states = weights["embed_tokens.weight"][list(ids)]
    for layer in range(config["num_hidden_layers"]):
        own = {name.removeprefix(f"layers.{layer}."): tensor for name, tensor in weights.items()}

        def split(name: str, *, entering: Any, count: int, own: dict[str, Any] = own) -> Any:
            projected = entering @ own[f"self_attn.{name}_proj.weight"].T + own.get(f"self_attn.{name}_proj.bias", 0)
            return projected.reshape(len(projected), count, -1).transpose(1, 0, 2)

        entering = normed(states, own["input_layernorm.weight"], epsilon=epsilon)
        queries, keys = split("q", entering=entering, count=heads), split("k", entering=entering, count=pairs)
        if "self_attn.q_norm.weight" in own:
            queries = normed(queries, own["self_attn.q_norm.weight"], epsilon=epsilon)
            keys = normed(keys, own["self_attn.k_norm.weight"], epsilon=epsilon)
        queries, keys = rotated(queries, base=base), rotated(keys, base=base).repeat(heads // pairs, axis=0)
        values = split("v", entering=entering, count=pairs).repeat(heads // pairs, axis=0)
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ values
        states = states + mixed.transpose(1, 0, 2).reshape(len(states), -1) @ own["self_attn.o_proj.weight"].T
        entering = normed(states, own["post_attention_layernorm.weight"], epsilon=epsilon)
        gate = entering @ own["mlp.gate_proj.weight"].T
        gate = gate / (1 + np.exp(-gate)) * (entering @ own["mlp.up_proj.weight"].T)
        states = states + gate @ own["mlp.down_proj.weight"].T
    return normed(states, weights["norm.weight"], epsilon=epsilon)


def expected_vectors(folder: Path) -> Any:
    config = json.loads((folder / "config.json").read_text())
    weights = {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}
    base = (config.get("rope_parameters") or config)["rope_theta"]
    states = [
        hidden_states(tokens.ids, weights=weights, config=config, base=base)[-1]
        for tokens in Loaded(folder).tokens(*TEXTS)
    ]
    return np.stack([state / np.linalg.norm(state) for state in states]).astype(np.float32)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_language_model_that_is_not_causal_reads_in_both_directions_alone_and_in_any_batch(
    family: str, tmp_path: Path
) -> None:
    both = seeded_models.build(tmp_path / "both", family=family, pooling="lasttoken", is_causal=False)
    forward = seeded_models.build(tmp_path / "forward", family=family, pooling="lasttoken")
    assert json.loads((both / "config.json").read_text())["is_causal"] is False
    expected = expected_vectors(both)

    parity.assert_embedder_equals(both, TEXTS, expected=expected)

    assert parity.cosines(Loaded(forward).encode(TEXTS), expected).min() < 0.9, "the direction must matter"
    assert Loaded(both).resolved.space != Loaded(forward).resolved.space


def test_the_reference_implementation_reads_in_both_directions_too(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="qwen2", pooling="lasttoken", is_causal=False)

    parity.assert_embedder_equals(folder, TEXTS)
