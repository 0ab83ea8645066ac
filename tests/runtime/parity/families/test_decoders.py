"""Every language model that embeds, built small, against sentence-transformers: both ways of pooling, both dtypes."""

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import seeded_models
from loaded_model import Loaded
from seeded_models import DECODERS
from seeded_models.tokenizers import QWEN

from embedding_runtime.settings import Dtype

QUERY = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


@functools.cache
def built(family: str, root: Path, **more: Any) -> Path:
    return seeded_models.build(root / f"{family}-{len(more)}", family=family, pooling="lasttoken", **more)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoders")


@pytest.mark.parametrize("family", DECODERS)
def test_the_last_token_equals_the_reference_alone_in_any_batch_and_on_either_padding_side(
    family: str, root: Path
) -> None:
    model = parity.assert_embedder_equals(built(family, root))

    assert model.backend.path.startswith("transformers ")
    assert model.resolved.inspection.end_token is not None


@pytest.mark.parametrize("family", DECODERS)
def test_the_mean_of_a_language_model_equals_the_reference(family: str, tmp_path: Path) -> None:
    parity.assert_embedder_equals(seeded_models.build(tmp_path, family=family, pooling="mean", normalize=False))


@pytest.mark.parametrize("family", DECODERS)
def test_half_precision_stays_close_to_the_reference(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family, pooling="lasttoken", spread=0.1)

    parity.assert_embedder_equals(folder, minimum=parity.CLOSE, dtype=Dtype.BFLOAT16)


def test_a_query_prompt_equals_the_reference(tmp_path: Path) -> None:
    folder = seeded_models.build(
        tmp_path, family="qwen3", pooling="lasttoken", prompts={"query": QUERY, "document": ""}, max_length=128
    )

    parity.assert_embedder_equals(folder, prompt="query")


def test_a_model_without_a_token_to_pad_with_equals_the_reference_text_by_text(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3", pooling="lasttoken", tokenizer=replace(QWEN, pad=None))
    library = parity.load_reference(folder)
    library.tokenizer.pad_token = "<|endoftext|>"
    texts = [text for text in parity.TEXTS if text]
    expected = np.concatenate([library.encode([text], show_progress_bar=False) for text in texts])

    parity.assert_embedder_equals(folder, texts, expected=expected)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
        (
            "llama",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 32,
                    "rope_theta": 500000.0,
                }
            },
        ),
        (
            "qwen3",
            {
                "rope_parameters": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 16,
                    "rope_theta": 1000000.0,
                }
            },
        ),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
        ("mistral", {"sliding_window": None}),
        ("gemma2", {"attn_logit_softcapping": None}),
        ("gemma3_text", {"use_bidirectional_attention": False}),
        ("gemma3_text", {"layer_types": None, "sliding_window_pattern": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_a_configuration_switches_equals_the_reference_and_matters(
    family: str, changes: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    folder = seeded_models.build(tmp_path, family=family, pooling="lasttoken", **changes)

    model = parity.assert_embedder_equals(folder)

    if "layer_types" not in changes:  # the same pattern in other words
        usual = Loaded(built(family, root)).encode(parity.TEXTS)
        assert parity.cosines(usual, model.encode(parity.TEXTS)).min() < 0.999
