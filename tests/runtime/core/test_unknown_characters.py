"""A tokenizer that fails at what it does not know would fail at the texts of users."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import seeded_models

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.core.tokenizer import load_backend

WORD_LEVEL = {"type": "WordLevel", "vocab": {"cat": 0}, "unk_token": "[UNK]"}
UNIGRAM = {"type": "Unigram", "vocab": [["cat", -1.0]], "unk_id": None, "byte_fallback": False}
BYTES = {"type": "BPE", "vocab": {"c": 0}, "merges": []}


def load(folder: Path, *, model: Mapping[str, Any]) -> Any:
    """The backend of a seeded model's tokenizer.json with another vocabulary and none of its special tokens."""
    document = json.loads((folder / "tokenizer.json").read_text())
    document |= {"model": model, "added_tokens": [], "post_processor": None, "normalizer": None}
    return load_backend({"tokenizer.json": json.dumps(document).encode()}, family="bert")


@pytest.mark.parametrize("model", [WORD_LEVEL, UNIGRAM], ids=["WordLevel", "Unigram"])
def test_a_vocabulary_without_its_token_for_the_unknown_is_refused(model: Mapping[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="does not know") as refused:
        load(seeded_models.build(tmp_path, family="bert"), model=model)
    assert refused.value.reason is Reason.INVALID_FILE


def test_a_vocabulary_that_leaves_the_unknown_out_is_taken(tmp_path: Path) -> None:
    backend = load(seeded_models.build(tmp_path, family="bert"), model=BYTES)
    assert backend.encode("c\u0378").ids == [0]
