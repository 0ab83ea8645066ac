"""A real language model as an embedder: SmolLM2-135M, whose last token says what comes next."""

from pathlib import Path

import numpy as np
import parity
import pytest
from loaded_model import Loaded
from safetensors.numpy import load_file
from smollm2 import fetch_smollm2_embedder
from tokenizers import Tokenizer

from embedding_runtime.core.inputs import Text

TEXTS = (
    "The capital of France is",
    "A Deployment keeps its pods running: when one of them fails, another is started on a node with room for it.",
    "naïve café 東京 🚀",
    "x",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    return fetch_smollm2_embedder()


@pytest.fixture(scope="module")
def model(folder: Path) -> Loaded:
    return Loaded(folder)


def test_its_vectors_equal_the_reference_alone_in_a_batch_and_on_either_padding_side(
    folder: Path, model: Loaded
) -> None:
    expected = parity.load_reference(folder).encode(list(TEXTS), show_progress_bar=False)

    together = model.encode(TEXTS)
    alone = np.concatenate([model.encode([text]) for text in TEXTS])
    with parity.padding_on_the_left():
        on_the_left = model.encode(TEXTS)

    for found in (together, alone, on_the_left):
        assert parity.cosines(found, expected).min() >= parity.EXACT


def test_the_last_token_of_a_question_is_nearest_to_its_answer(folder: Path, model: Loaded) -> None:
    """The word embeddings are its language head: the answer shows that no tensor is in a wrong place or order."""
    words = load_file(folder / "model.safetensors")["embed_tokens.weight"]
    [output] = model.compute([Text("The capital of France is")])
    assert output.dense is not None

    best = int((words @ output.dense).argmax())

    assert Tokenizer.from_file(str(folder / "tokenizer.json")).decode([best]) == " Paris"
