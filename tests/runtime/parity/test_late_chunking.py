"""Late chunking against the mean of sentence-transformers' own token embeddings of the whole document.

The reference tokenises the pieces joined by spaces, once, and finds by the tokenizer's offsets which tokens are whose.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seeded_models
from loaded_model import Loaded
from parity import load_reference

from embedding_runtime.core.inputs import Chunks, Text
from embedding_runtime.core.late_chunking import average_pieces
from embedding_runtime.core.vectors import finish

PIECES = (
    "Berlin is the capital of Germany.",
    "Its more than 3.85 million inhabitants make it the most populous city;",
    "naïve café 東京",
    "x",
    "the city is also one of the states of the country",
)


def chunk(loaded: Loaded, pieces: Sequence[str], *, prompt: str = "") -> np.ndarray:
    [tokens] = loaded.tokenizer.encode([Chunks(tuple(pieces), prompt=prompt)])
    [output] = loaded.backend.compute([tokens])
    assert output.token_vectors is not None
    pooled = average_pieces(output.token_vectors, tokens=tokens, include_prompt=loaded.serving.include_prompt)
    return finish(pooled, serving=loaded.serving)


def chunk_by_reference(
    model: Any, pieces: Sequence[str], *, prompt: str = "", include_prompt: bool = True
) -> np.ndarray:
    """float32 [pieces, width], of length 1. The first piece has the prompt and what is before it."""
    text = prompt + " ".join(pieces)
    vectors = model.encode(text, output_value="token_embeddings", show_progress_bar=False).numpy()
    offsets = model.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    ends = np.cumsum([len(prompt) + len(pieces[0]), *(len(piece) + 1 for piece in pieces[1:])])
    owners = [int(np.searchsorted(ends, end)) for _, end in offsets]
    owners[0], owners[-1] = 0, len(pieces) - 1
    if prompt and not include_prompt:
        behind = next(index for index, (_, end) in enumerate(offsets) if end > len(prompt))
        owners[:behind] = [-1] * behind
    means = np.stack([vectors[np.array(owners) == piece].mean(axis=0) for piece in range(len(pieces))])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


@pytest.mark.parametrize("family", ["bert", "nomic_bert", "modernbert", "xlm-roberta"])
def test_each_piece_has_the_mean_of_its_tokens_in_the_whole_document(family: str, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family=family, max_length=128)
    expected = chunk_by_reference(load_reference(folder), PIECES)
    found = chunk(Loaded(folder), PIECES)
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_prompt_stands_before_the_document(include_prompt: bool, tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert", max_length=128, include_prompt=include_prompt)
    prompt = "search document: "
    expected = chunk_by_reference(load_reference(folder), PIECES, prompt=prompt, include_prompt=include_prompt)
    np.testing.assert_allclose(chunk(Loaded(folder), PIECES, prompt=prompt), expected, atol=2e-5)


@pytest.mark.parametrize("family", ["bert", "modernbert", "xlm-roberta"])
@pytest.mark.parametrize("prompt", ["", "search document: "])
def test_a_document_of_one_piece_has_its_ordinary_vector(family: str, prompt: str, tmp_path: Path) -> None:
    loaded = Loaded(seeded_models.build(tmp_path, family=family, max_length=128))
    [ordinary] = loaded.compute([Text(PIECES[1], prompt=prompt)])
    assert ordinary.dense is not None
    expected = finish(ordinary.dense[np.newaxis], serving=loaded.serving)
    np.testing.assert_allclose(chunk(loaded, PIECES[1:2], prompt=prompt), expected, atol=1e-6)


def test_a_piece_knows_the_others(tmp_path: Path) -> None:
    loaded = Loaded(seeded_models.build(tmp_path, family="bert", max_length=128))
    alone = chunk(loaded, PIECES[1:2])
    among = chunk(loaded, PIECES)[1:2]
    assert not np.allclose(alone, among, atol=1e-3)
