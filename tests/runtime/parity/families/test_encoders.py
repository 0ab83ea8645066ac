"""Every encoder family, built small with a fixed seed, gives the vectors of sentence-transformers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import seeded_models
from loaded_model import Loaded

from embedding_runtime.settings import Dtype

Build = Callable[..., Path]

NATIVE = ("bert", "roberta", "xlm-roberta", "camembert")

# What a family's configuration may switch, beside its usual form.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert, tanh for exact gelu": ("bert", {"hidden_act": "gelu_new"}),
    "bert, an activation that only transformers has": ("bert", {"hidden_act": "silu"}),
    "distilbert, relu": ("distilbert", {"activation": "relu"}),
    "roberta, padding 0": ("roberta", {"pad_token_id": 0}),
    "mpnet, another epsilon": ("mpnet", {"layer_norm_eps": 0.1}),
    "electra, embeddings as wide as layers": ("electra", {"embedding_size": 64}),
    "albert, two groups of two": ("albert", {"num_hidden_groups": 2, "inner_group_num": 2, "layers": 4}),
    "deberta-v2, absolute positions only": (
        "deberta-v2",
        {"relative_attention": False, "position_biased_input": True, "norm_rel_ebd": "none"},
    ),
    "deberta-v2, its own projections of positions": ("deberta-v2", {"share_att_key": False}),
    "deberta-v2, a convolution and narrow embeddings": (
        "deberta-v2",
        {"conv_kernel_size": 3, "conv_groups": 2, "conv_act": "gelu", "embedding_size": 32},
    ),
    "deberta-v2, no buckets": ("deberta-v2", {"position_buckets": -1, "pos_att_type": "c2p"}),
    "modernbert, every bias": ("modernbert", {"norm_bias": True, "attention_bias": True, "mlp_bias": True}),
    "modernbert, windows in the first layer": (
        "modernbert",
        {"layer_types": ["sliding_attention", "full_attention"]},
    ),
    "eurobert, biases and wide heads": ("eurobert", {"attention_bias": True, "mlp_bias": True, "head_dim": 24}),
    "nomic_bert, wide heads": ("nomic_bert", {"head_dim": 24}),
    "gte, no token types": ("gte", {"type_vocab_size": 0}),
    "gte, yarn": (
        "gte",
        {"rope_parameters": {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0}},
    ),
    "t5, gated": ("t5", {"feed_forward_proj": "gated-gelu"}),
    "t5, few buckets": ("t5", {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20}),
}

MODES = ("cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """seeded_models.build in a folder of its own, once for the same arguments."""
    built: dict[str, Path] = {}

    def once(family: str, **arguments: Any) -> Path:
        key = f"{family} {sorted(arguments.items())}"
        if key not in built:
            built[key] = seeded_models.build(tmp_path_factory.mktemp("model"), family=family, **arguments)
        return built[key]

    return once


@pytest.mark.parametrize("family", seeded_models.ENCODERS)
def test_vectors_equal_the_reference_in_every_batch_and_the_path_is_named(family: str, build: Build) -> None:
    model = parity.assert_embedder_equals(build(family))

    implementation, _, name = model.backend.path.partition(" ")
    assert implementation == ("native" if family in NATIVE else "transformers")
    assert name == ("BertEncoder" if family in NATIVE else model.resolved.inspection.architecture)


@pytest.mark.parametrize("family", seeded_models.ENCODERS)
def test_half_precision_stays_close_to_the_reference_in_full(family: str, build: Build) -> None:
    folder = build(family)
    expected = parity.load_reference(folder).encode(list(parity.TEXTS), show_progress_bar=False)
    model = Loaded(folder, dtype=Dtype.BFLOAT16)

    together = model.encode(parity.TEXTS)
    alone = np.concatenate([model.encode([text]) for text in parity.TEXTS])

    assert parity.cosines(together, expected).min() >= parity.CLOSE
    assert parity.cosines(alone, expected).min() >= parity.CLOSE


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_the_configuration_switches_is_computed_as_the_reference_does(variant: str, build: Build) -> None:
    family, config = VARIANTS[variant]

    switched = parity.assert_embedder_equals(
        build(family, **config), left_padding=not config.get("position_biased_input")
    )

    plain = Loaded(build(family)).encode(parity.TEXTS)
    difference = np.abs(switched.encode(parity.TEXTS) - plain).max()
    assert difference > 2e-5, "the switch must matter, else this would pass without it"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_every_pooling_mode_equals_the_reference(family: str, mode: str, build: Build) -> None:
    parity.assert_embedder_equals(build(family, pooling=mode, normalize=False))


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "deberta-v2", "gte", "t5"])
def test_a_text_of_exactly_the_longest_length_equals_the_reference(family: str, build: Build) -> None:
    """The last position that the weights number, or that config.json names, is used; a longer text is cut to it."""
    folder = build(family)
    model = Loaded(folder)
    longest = model.resolved.inspection.positions
    specials = len(model.tokens("")[0].ids)
    exact, longer = "x " * (longest - specials), "x " * (longest - specials + 1)

    [whole], [cut] = model.tokens(exact), model.tokens(longer)

    assert (len(whole.ids), whole.truncated) == (longest, False)
    assert (len(cut.ids), cut.truncated) == (longest, True)
    expected = parity.load_reference(folder).encode([exact, longer], show_progress_bar=False)
    np.testing.assert_allclose(model.encode([exact, longer]), expected, atol=2e-6)
    np.testing.assert_allclose(*expected, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta-v2", "gte"])
def test_the_padding_token_written_in_a_text_equals_the_reference(family: str, build: Build) -> None:
    """RoBERTa numbers positions by the ids themselves: a padding token within a text takes none."""
    parity.assert_embedder_equals(build(family), ["before [PAD] behind", "before <pad> behind", "before behind"])
