"""A panic of the tokenizers library is an error like others: of one request, or of the model that brings it."""

import json
from pathlib import Path
from typing import Any

import pytest
import seeded_models
import tokenizers
from runtime_under_test import WordTokenizer, app_under_test
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import FixedLength

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.core.inputs import Input
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.tokenizer import load_backend
from embedding_runtime.core.vocabulary import Vocabulary

# Pieces of no length: the library panics at any text but the empty one.
BROKEN = tokenizers.Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
BROKEN.pre_tokenizer = FixedLength(0)


class Panicking(WordTokenizer):
    """As soon as a text says so."""

    def __init__(self) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(BROKEN)

    def _encode(self, item: Input) -> Tokens:
        tokens = super()._encode(item)
        if "secret" in getattr(item, "text", ""):
            BROKEN.encode_batch_fast(["secret"])
        return tokens


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/embeddings", {"model": "words", "input": ["hello", "secret"]}, 500),
        ("/v1/embeddings", {"model": "words", "input": "secret"}, 500),
        ("/v2/embed", {"model": "words", "texts": ["hello", "secret"]}, 500),
        ("/jina/v1/embeddings", {"model": "words", "input": "secret"}, 500),
        ("/embed", {"inputs": "secret"}, 424),
        ("/tokenize", {"inputs": "secret"}, 424),
    ],
)
async def test_a_panic_costs_one_request_and_is_told_in_the_dialects_words(
    path: str, body: dict[str, Any], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with app_under_test(tokenizer=Panicking()) as runtime:
        failed = await runtime.client.post(path, json=body)
        others = await runtime.embed(input=["hello", "world"] * 100)
    assert failed.status_code == status
    assert "tokenizer failed at one of the inputs" in failed.text
    assert failed.headers["x-should-retry"] == "false"
    assert "secret" not in failed.text + caplog.text
    assert others.status_code == 200


@pytest.mark.parametrize(
    "part",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    ],
    ids=["when it is read", "when it is used"],
)
def test_a_model_whose_tokenizer_panics_is_refused(part: dict[str, Any], tmp_path: Path) -> None:
    folder = seeded_models.build(tmp_path, family="bert")
    document = json.loads((folder / "tokenizer.json").read_text()) | part
    with pytest.raises(Refusal) as refused:
        load_backend({"tokenizer.json": json.dumps(document).encode()}, family="bert")
    assert refused.value.reason is Reason.INVALID_FILE
