"""Batches without padding: every text gets what it gets in a padded batch, whatever lies beside it."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedding_model.resolved import Side
from embedding_runtime.architectures.batch import Batch, collate
from embedding_runtime.architectures.native.layout import (
    FINE_ROWS,
    LONGEST_PADDED,
    STEP,
    Layout,
    Padded,
    Unpadded,
    find_count,
    round_up,
)
from embedding_runtime.core.jobs import Tokens

CPU = torch.device("cpu")
HEADS, WIDTH = 2, 16
MOST_ROWS = 16_384

# Alone, all alike, unlike but short, longer ones alike and unlike, and both sides of where padding ends.
BATCHES = (
    [1],
    [8],
    [5, 5, 5],
    [3, 1, 7, 2],
    [LONGEST_PADDED, LONGEST_PADDED + 1, 2, LONGEST_PADDED + 1],
    [70, 100, 70, 100, 81],
)


def make_batch(lengths: Sequence[int], *, padding: Side = Side.RIGHT) -> Batch:
    texts, first = [], 1
    for length in lengths:
        texts.append(Tokens(ids=list(range(first, first + length))))
        first += length
    return collate(texts, pad_id=0, device=CPU, padding=padding)


def attend(layout: Layout, batch: Batch) -> torch.Tensor:
    """Attention of vectors that are drawn for each id, [batch, length, width]."""
    table = torch.randn(int(batch.ids.max()) + 1, 3 * WIDTH, generator=torch.Generator().manual_seed(0))
    query, key, value = torch.split(table[layout.flatten(batch.ids)], WIDTH, dim=-1)
    return layout.restore(layout.attend(query, key, value, heads=HEADS))


@pytest.mark.parametrize("padding", [Side.RIGHT, Side.LEFT])
@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_attention_is_that_of_the_padded_batch(lengths: Sequence[int], padding: Side) -> None:
    batch = make_batch(lengths, padding=padding)
    is_token = batch.attention.bool()

    found, expected = attend(Unpadded(batch, dtype=torch.float32), batch), attend(Padded(batch), batch)

    torch.testing.assert_close(found[is_token], expected[is_token])


@pytest.mark.parametrize("broken", range(4))
def test_a_text_that_overflows_takes_no_other_with_it(broken: int) -> None:
    batch = make_batch([3, 1, 7, 2])
    layout = Unpadded(batch, dtype=torch.float32)
    values = torch.ones((*batch.ids.shape, WIDTH))
    values[broken] = torch.nan
    rows = values.flatten(0, 1)[layout.flatten(torch.arange(batch.ids.numel()).view_as(batch.ids))]

    found = layout.restore(layout.attend(torch.ones_like(rows), torch.ones_like(rows), rows, heads=HEADS))

    is_nan = found.isnan().any(dim=2).any(dim=1)
    assert is_nan.tolist() == [number == broken for number in range(4)]


@given(st.lists(st.integers(1, 2 * LONGEST_PADDED), min_size=1, max_size=12), st.sampled_from(Side))
def test_every_token_comes_back_to_its_place_and_padding_is_zero(lengths: list[int], padding: Side) -> None:
    batch = make_batch(lengths, padding=padding)
    layout = Unpadded(batch, dtype=torch.float32)

    rows = layout.flatten(batch.ids)
    restored = layout.restore(rows.float().unsqueeze(1))

    assert len(rows) == round_up(sum(lengths))
    assert torch.equal(restored.squeeze(2), batch.ids.float())


@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_rows_that_belong_to_no_text_hold_numbers(lengths: Sequence[int]) -> None:
    """Whatever lay in memory before would be computed with: NaN and numbers too small to be quick."""
    batch = make_batch(lengths)
    layout = Unpadded(batch, dtype=torch.float32)
    value = torch.ones((round_up(sum(lengths)), WIDTH))

    mixed = layout.attend(value, value, value, heads=HEADS)

    torch.testing.assert_close(mixed[: sum(lengths)], value[: sum(lengths)])
    assert not mixed[sum(lengths) :].any()


def test_batches_have_few_numbers_of_rows_and_little_is_computed_in_vain() -> None:
    """oneDNN keeps the code of 1024 products, and makes it anew for each number of rows of four layers."""
    rows = [round_up(tokens) for tokens in range(1, MOST_ROWS + 1)]

    assert 4 * len(set(rows)) < 1024
    assert all(tokens <= filled < tokens + STEP for tokens, filled in enumerate(rows[:FINE_ROWS], start=1))
    assert all(filled <= 1.04 * tokens for tokens, filled in enumerate(rows, start=1) if tokens > FINE_ROWS)
    assert rows == sorted(rows)


def test_what_is_counted_as_computed_is_what_the_layout_of_the_device_computes() -> None:
    lengths = [9, 30, 100]
    batch = make_batch(lengths)
    unpadded, padded = Unpadded(batch, dtype=torch.float32), Padded(batch)

    assert find_count(CPU)(lengths) == len(unpadded.flatten(batch.ids)) == 144
    assert find_count(torch.device("cuda"))(lengths) == len(padded.flatten(batch.ids)) == 300
