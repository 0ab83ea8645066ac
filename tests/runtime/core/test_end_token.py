"""Last-token pooling reads the end token: no text is served without it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import seeded_models
from seeded_models import ByteLevel
from seeded_models.tokenizers import LLAMA, QWEN

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Inspection, Serving, Side, Task, Weights
from embedding_runtime.core.end_token import EndCheckedTokenizer, require_end_token
from embedding_runtime.core.input_tokenizers import load_tokenizer
from embedding_runtime.core.inputs import Input, Text
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizer import TextTokenizer, load_text_tokenizer
from embedding_runtime.errors import MissingEndToken

LONG = "the weather in paris " * 40
TEXTS = (
    "",
    " ",
    "the weather is lovely",
    LONG,
    "it ends </s>",
    "it ends <|endoftext|>",
    "é" * 50,
)


def tokenizer_of(kind: ByteLevel, folder: Path, *, length: int = 16, side: Side = Side.RIGHT) -> TextTokenizer:
    kind.save(folder, max_length=length)
    return load_text_tokenizer(files_of(folder), serving=serving(length, side=side), family="llama")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def serving(length: int, *, side: Side = Side.RIGHT) -> Serving:
    return Serving(task=Task.EMBEDDING, max_input_tokens=length, lowercase=False, truncation_side=side)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("kind", [QWEN, LLAMA], ids=["qwen", "llama"])
def test_the_end_token_is_the_last_one_of_every_text_and_of_what_is_cut(
    kind: ByteLevel, side: Side, tmp_path: Path
) -> None:
    tokenizer = tokenizer_of(kind, tmp_path, side=side)
    end = tokenizer.token_id(kind.end or "")

    found = require_end_token(tokenizer, end_token=kind.end or "").encode([Text(text) for text in TEXTS])

    assert [tokens.ids[-1] for tokens in found] == [end] * len(TEXTS)
    assert found[TEXTS.index(LONG)].truncated
    assert max(len(tokens.ids) for tokens in found) == 16


def test_the_same_tokens_come_out_as_from_the_tokenizer_itself(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(LLAMA, tmp_path)
    texts = [Text(text) for text in TEXTS]

    assert require_end_token(tokenizer, end_token="</s>").encode(texts) == tokenizer.encode(texts)


@pytest.mark.parametrize("end", ["</s>", "<unheard>"])
def test_a_tokenizer_that_leaves_the_end_token_out_is_refused_when_it_is_loaded(end: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="behind every text") as refused:
        require_end_token(tokenizer_of(replace(LLAMA, end=None), tmp_path), end_token=end)
    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE


def test_a_length_that_leaves_no_room_for_the_tokens_around_a_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="1 tokens are too few") as refused:
        require_end_token(tokenizer_of(LLAMA, tmp_path, length=1), end_token="</s>")
    assert refused.value.field == "embedding.maxInputTokens"


class _Forgetful:
    """Leaves the end token out where a text is long."""

    max_tokens = 8

    def encode(self, inputs: Sequence[Input]) -> list[Tokens]:
        return [Tokens(ids=[1, 2, 3][: 2 if item.characters > 5 else 3]) for item in inputs]


def test_an_input_without_its_end_token_is_an_error_and_no_vector() -> None:
    checked = EndCheckedTokenizer(_Forgetful(), end_id=3)

    assert [tokens.ids for tokens in checked.encode([Text("short")])] == [[1, 2, 3]]
    with pytest.raises(MissingEndToken, match="end token"):
        checked.encode([Text("short"), Text("a long text")])


def test_what_inspection_says_of_the_end_token_decides_whether_it_is_looked_for(tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="qwen3", pooling="lasttoken", tokenizer=replace(QWEN, end=None))
    inspection = Inspection(
        task=Task.EMBEDDING,
        architecture="Qwen3Model",
        family="qwen3",
        max_input_tokens=16,
        positions=16,
        weights=Weights(bytes=0, files=1, parameters=0),
    )
    assert json.loads((folder / "tokenizer_config.json").read_text())["eos_token"] == "<|endoftext|>"

    load_tokenizer(files_of(folder), inspection=inspection, serving=serving(16))
    named = inspection.model_copy(update={"end_token": "<|endoftext|>"})
    with pytest.raises(Refusal, match="behind every text"):
        load_tokenizer(files_of(folder), inspection=named, serving=serving(16))
