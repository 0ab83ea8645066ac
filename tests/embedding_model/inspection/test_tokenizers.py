"""Which tokenizers can be served is decided before anything is rolled out."""

import json
from typing import Any

import pytest
from model_fixtures.catalogue import CATALOGUE
from tiny_models import json_file, tiny_embedder, tokenizer_settings

from embedding_model.inspection import inspect
from embedding_model.inspection.documents import JSON_LIMIT
from embedding_model.inspection.tokenizer_json import read_tokenizer_json
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.memory import MemorySource

VOCABULARY = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nword\n"


def refuse(family: str = "bert", **changes: bytes | None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        inspect(MemorySource(tiny_embedder(family, **changes)))
    return caught.value


def options(**values: Any) -> dict[str, bytes]:
    return {"tokenizer_config.json": json_file(values)}


@pytest.mark.parametrize(
    ("family", "files"),
    [
        ("roberta", {"vocab.json": b"{}", "merges.txt": b""}),
        ("xlm-roberta", {"sentencepiece.bpe.model": b"x"}),
        ("camembert", {"sentencepiece.bpe.model": b"x"}),
        ("mpnet", {"vocab.txt": VOCABULARY}),
    ],
)
def test_a_tokenizer_that_the_runtime_cannot_build_is_refused(family: str, files: dict[str, bytes]) -> None:
    refusal = refuse(family, **{"tokenizer.json": None, **files})
    assert refusal.reason is Reason.MISSING_FILE
    assert "no tokenizer.json" in refusal.message
    assert "save_pretrained" in refusal.message


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_vocabulary_of_bert_is_enough(family: str) -> None:
    files = tiny_embedder(family, **{"tokenizer.json": None, "vocab.txt": VOCABULARY})
    assert inspect(MemorySource(files)).family == family


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        ({"vocab.txt": b"[PAD]\nword\n"}, Reason.INVALID_FILE, "lacks the special tokens [UNK], [CLS]"),
        ({"vocab.txt": b"\xff\xfe"}, Reason.INVALID_FILE, "expected UTF-8"),
        (options(tokenizer_class="PreTrainedTokenizerFast"), Reason.MISSING_FILE, "not built from vocab.txt"),
        (options(additional_special_tokens=["[NEW]"]), Reason.CONTRADICTORY_EVIDENCE, 'adds the token "[NEW]"'),
        ({"added_tokens.json": b'{"[NEW]": 6}'}, Reason.CONTRADICTORY_EVIDENCE, 'adds the token "[NEW]"'),
    ],
)
def test_a_vocabulary_that_is_not_the_whole_tokenizer_is_refused(
    changes: dict[str, bytes], reason: Reason, says: str
) -> None:
    refusal = refuse(**{"tokenizer.json": None, "vocab.txt": VOCABULARY, **changes})
    assert refusal.reason is reason
    assert says in refusal.message


@pytest.mark.parametrize(
    ("changes", "reason", "says"),
    [
        (options(tokenizer_class="BertJapaneseTokenizer"), Reason.UNSUPPORTED_FORMAT, '"BertJapaneseTokenizer"'),
        (options(split_special_tokens=True), Reason.UNSUPPORTED_FORMAT, "split_special_tokens"),
        (options(do_lower_case="yes"), Reason.INVALID_FILE, "do_lower_case to be true or false"),
        (options(added_tokens_decoder={"x": {}}), Reason.INVALID_FILE, "added_tokens_decoder"),
        (options(additional_special_tokens=[1]), Reason.INVALID_FILE, "additional_special_tokens"),
        ({"special_tokens_map.json": b'{"sep_token": "[X]"}'}, Reason.CONTRADICTORY_EVIDENCE, '"[X]"'),
        ({"tokenizer.json": b"{}"}, Reason.INVALID_FILE, "no `model`"),
        (
            {"tokenizer.json": json_file(tokenizer_settings(normalizer="NFC"))},
            Reason.INVALID_FILE,
            "do not have the form",
        ),
        (
            {"tokenizer.json": json_file(tokenizer_settings(added_tokens=[{"content": "x"}]))},
            Reason.INVALID_FILE,
            "do not have the form",
        ),
    ],
)
def test_a_tokenizer_that_is_not_understood_is_refused(
    changes: dict[str, bytes | None], reason: Reason, says: str
) -> None:
    refusal = refuse(**changes)
    assert refusal.reason is reason, refusal.message
    assert says in refusal.message


@pytest.mark.parametrize("indent", [None, 2])
def test_a_large_tokenizer_is_read_up_to_its_vocabulary(indent: int | None) -> None:
    small = tokenizer_settings("xlm-roberta")
    large = {**small, "model": {"type": "Unigram", "vocab": [["word", -1.0]] * 400_000}}
    data = {name: json.dumps(value, indent=indent).encode() for name, value in (("small", small), ("large", large))}
    assert len(data["large"]) > JSON_LIMIT

    found = [vars(read_tokenizer_json(MemorySource(data), path=name)) | {"path": ""} for name in data]

    assert found[0] == found[1]


def test_a_large_tokenizer_that_does_not_come_to_its_vocabulary_is_refused() -> None:
    data = json_file(tokenizer_settings("bert", **{"version": "x" * JSON_LIMIT}))
    refusal = refuse(**{"tokenizer.json": data})
    assert refusal.reason is Reason.INVALID_FILE
    assert "does not begin" in refusal.message


@pytest.mark.parametrize("size", [0, JSON_LIMIT])
@pytest.mark.parametrize(("name", "algorithm"), [("Qwen2TokenizerFast", "WordPiece"), ("T5Tokenizer", "BPE")])
def test_a_tokenizer_of_another_algorithm_than_its_class_is_refused(name: str, algorithm: str, size: int) -> None:
    model = {"type": algorithm, "vocab": {"x" * size: 0}}
    refusal = refuse(**{"tokenizer.json": json_file(tokenizer_settings(model=model)), **options(tokenizer_class=name)})
    assert refusal.reason is Reason.CONTRADICTORY_EVIDENCE
    assert algorithm in refusal.message


def test_a_tokenizer_of_another_model_with_the_same_algorithm_is_refused() -> None:
    files = CATALOGUE["Qwen/Qwen3-Embedding-0.6B"].files
    with pytest.raises(Refusal, match="puts it around a text") as refused:
        inspect(MemorySource({**files, **tokenizer_of("google/embeddinggemma-300m")}))
    assert refused.value.reason is Reason.CONTRADICTORY_EVIDENCE


def test_a_token_with_two_numbers_is_refused() -> None:
    files = CATALOGUE["Qwen/Qwen3-Embedding-0.6B"].files
    tokenizer = json.loads(files["tokenizer.json"])
    tokenizer["added_tokens"][0]["id"] += 1
    with pytest.raises(Refusal, match=r"gives .* the id"):
        inspect(MemorySource({**files, "tokenizer.json": json_file(tokenizer)}))


def tokenizer_of(name: str) -> dict[str, bytes]:
    return {"tokenizer.json": CATALOGUE[name].files["tokenizer.json"]}
