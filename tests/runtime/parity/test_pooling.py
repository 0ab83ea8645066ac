"""Pooling alone, on any vectors of tokens, against sentence-transformers' own Pooling module."""

import importlib
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_model.inspection.pooling import MODES
from embedding_model.resolved import Pooling, Side
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.pooling import pool
from embedding_runtime.core.jobs import Tokens

WIDTH = 6
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def library() -> Any:
    return importlib.import_module("sentence_transformers.sentence_transformer.modules")


def batch_of(lengths: Sequence[int], *, prompt_length: int, side: Side) -> Batch:
    tokens = [Tokens(ids=[1] * length, prompt_length=prompt_length) for length in lengths]
    return collate(tokens, pad_id=0, device=CPU, padding=side)


def draw_vectors(batch: Batch, *, seed: int) -> torch.Tensor:
    """Vectors of padding too, and large: none of them may count."""
    source = torch.Generator().manual_seed(seed)
    vectors = torch.randn((*batch.ids.shape, WIDTH), generator=source)
    return torch.where(batch.attention.unsqueeze(-1) == 0, vectors * 1000, vectors)


def test_every_mode_of_the_library_is_known(library: Any) -> None:
    assert set(MODES) == set(library.Pooling.POOLING_MODES)
    assert set(MODES.values()) == set(Pooling)


@settings(max_examples=300)
@given(
    names=st.lists(st.sampled_from(sorted(MODES)), min_size=1, max_size=3),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    prompt_length=st.integers(0, 10),
    include_prompt=st.booleans(),
    side=st.sampled_from(Side),
    seed=st.integers(0, 1000),
)
def test_any_poolings_of_any_tokens_equal_the_librarys(
    library: Any,
    names: list[str],
    lengths: list[int],
    prompt_length: int,
    include_prompt: bool,
    side: Side,
    seed: int,
) -> None:
    batch = batch_of(lengths, prompt_length=prompt_length, side=side)
    vectors = draw_vectors(batch, seed=seed)
    features = {"token_embeddings": vectors, "attention_mask": batch.attention, "prompt_length": prompt_length}
    expected = library.Pooling(WIDTH, names, include_prompt=include_prompt)(features)["sentence_embedding"]

    found = pool(vectors, batch=batch, modes=[MODES[name] for name in names], include_prompt=include_prompt)

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(MODES))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_pooled_in_float32(name: str, dtype: torch.dtype, library: Any) -> None:
    batch = batch_of([9, 4, 1], prompt_length=0, side=Side.RIGHT)
    vectors = draw_vectors(batch, seed=5).to(dtype)
    features = {"token_embeddings": vectors.float(), "attention_mask": batch.attention}
    expected = library.Pooling(WIDTH, name)(features)["sentence_embedding"]

    found = pool(vectors, batch=batch, modes=[MODES[name]])

    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected)


def _over_padding(batch: Batch) -> Batch:
    return Batch(
        ids=batch.ids,
        attention=torch.ones_like(batch.attention),
        types=batch.types,
        prompt_lengths=batch.prompt_lengths,
    )


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("name", sorted(MODES))
def test_pooling_over_padding_is_another_vector(name: str, side: Side) -> None:
    """Only the first and the last token stay where they are when the padding is on their other side."""
    batch = batch_of([7, 3], prompt_length=0, side=side)
    vectors = draw_vectors(batch, seed=5)
    right = pool(vectors, batch=batch, modes=[MODES[name]])
    wrong = pool(vectors, batch=_over_padding(batch), modes=[MODES[name]])
    unmoved = {"cls": Side.RIGHT, "lasttoken": Side.LEFT}
    assert torch.equal(right[1], wrong[1]) is (unmoved.get(name) is side)
    torch.testing.assert_close(right[0], wrong[0])
