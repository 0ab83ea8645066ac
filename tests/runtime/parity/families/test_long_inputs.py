"""Texts of thousands of tokens: the reference's numbers, in memory that grows with the length and not its square."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
import seeded_models
import torch
from loaded_model import Loaded
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.masking_utils import (
    causal_mask_function,
    sdpa_mask,
    sliding_window_bidirectional_mask_function,
    sliding_window_causal_mask_function,
)

from embedding_runtime.architectures.attention import PIECE, PieceMasks, make_mask
from embedding_runtime.core.inputs import Text

WORDS = "the weather is lovely in paris and nobody knows why pods restart on another node of the cluster".split()

# Every way in which attention is computed: plain, in windows, capped, in both directions, in both with windows.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("qwen3", {}),
    "windows": ("mistral", {"sliding_window": 300}),
    "capped, windows": ("gemma2", {"sliding_window": 300}),
    "both directions": ("qwen2", {"is_causal": False}),
    "both directions, windows": ("gemma3_text", {"sliding_window": 600}),
}


def write(tokens: int, *, seed: int = 0) -> str:
    """A text of somewhat more than so many tokens."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, tokens))


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_longer_than_one_piece_equals_the_reference_alone_and_beside_others(kind: str, tmp_path: Path) -> None:
    family, config = KINDS[kind]
    length = 2 * PIECE + 1  # the last piece has one token alone
    folder = seeded_models.build(tmp_path, family=family, pooling="lasttoken", max_length=length, **config)
    texts = [write(length), "a short text", write(PIECE + 200, seed=1)]
    expected = parity.load_reference(folder).encode(texts, show_progress_bar=False)
    model = Loaded(folder)
    assert len(model.tokens(texts[0])[0].ids) == length

    alone = np.concatenate([model.encode([text]) for text in texts])
    together = model.encode(texts)
    with parity.padding_on_the_left():
        on_the_left = model.encode(texts)

    for found in (alone, together, on_the_left):
        assert parity.cosines(found, expected).min() >= parity.EXACT


def test_a_text_of_8192_tokens_equals_the_reference(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3", pooling="lasttoken", max_length=8192)
    text = write(9000)
    model = Loaded(folder)
    [tokens] = model.tokens(text)

    found = model.encode([text])

    assert (len(tokens.ids), tokens.truncated) == (8192, True)
    assert parity.cosines(found, parity.load_reference(folder).encode([text], show_progress_bar=False)) >= parity.EXACT


class _Largest(TorchDispatchMode):
    """Remembers how many values the largest tensor had that any operation gave."""

    values: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else (found,):
            if isinstance(tensor, torch.Tensor):
                self.values = max(self.values, tensor.numel())
        return found


def largest(compute: Callable[[], object]) -> int:
    with _Largest() as seen:
        compute()
    return seen.values


@pytest.mark.parametrize("kind", KINDS)
def test_no_tensor_grows_with_the_square_of_the_length(kind: str, tmp_path: Path) -> None:
    family, config = KINDS[kind]
    folder = seeded_models.build(tmp_path, family=family, pooling="lasttoken", max_length=4096, **config)
    model = Loaded(folder)

    short, long = (largest(partial(model.compute, [Text(write(length))])) for length in (2048, 4096))

    assert long <= 2.1 * short
    assert long < 4096 * 4096


MASKS = {
    "left to right": (causal_mask_function, None),
    "left to right in a window": (sliding_window_causal_mask_function(100), 100),
    "both directions in a window": (sliding_window_bidirectional_mask_function(100), 100),
}


@pytest.mark.parametrize("padding", ["none", "left", "right"])
@pytest.mark.parametrize("kind", MASKS)
def test_the_pieces_of_a_mask_are_those_of_transformers_mask_and_nothing_out_of_reach_is_seen(
    kind: str, padding: str
) -> None:
    function, window = MASKS[kind]
    length = PIECE + 300
    attention = torch.ones(2, length, dtype=torch.int64)
    if padding != "none":
        attention[1, slice(0, 50) if padding == "left" else slice(length - 50, length)] = 0
    places: dict[str, Any] = {"batch_size": 2, "q_length": length, "kv_length": length}
    whole = sdpa_mask(
        **places, mask_function=function, attention_mask=attention.bool(), allow_is_causal_skip=False
    ).expand(2, 1, length, length)

    masks = make_mask(**places, mask_function=function, attention_mask=attention.bool(), local_size=window)

    if padding == "none" and window is None:
        assert masks is None, "the kernel needs no mask"
        return
    assert isinstance(masks, PieceMasks)
    for start in range(0, length, PIECE):
        stop = min(start + PIECE, length)
        first, last = masks.reach(start, stop)
        assert torch.equal(masks.piece(start, stop), whole[:, :, start:stop, first:last])
        assert not whole[:, :, start:stop, :first].any()
        assert not whole[:, :, start:stop, last:].any()
        assert window is None or last - first <= PIECE + 2 * window
