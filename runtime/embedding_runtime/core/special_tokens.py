"""The numbers of a tokenizer's special tokens, by what its files call them."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from embedding_model.refusal import Reason, Refusal
from embedding_model.tokenizer_files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE
from embedding_runtime.files import Files

# What FlagEmbedding leaves out of sparse vectors, with XLM-R's own names for where no file says them.
_ROLES = {"cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
_FILES = (TOKENIZER_CONFIG_FILE, "special_tokens_map.json")


def find_special_ids(files: Files) -> frozenset[int]:
    """Ids of the tokens for begin, end, padding and what is unknown; a token that is not in the vocabulary has none.

    `files` are those of the transformer's own folder. Raises Refusal(INVALID_FILE) for a file that is no JSON object,
    MISSING_FILE without tokenizer.json.
    """
    if TOKENIZER_FILE not in files:
        raise Refusal(Reason.MISSING_FILE, f"The model has no {TOKENIZER_FILE}: its special tokens are not known.")
    tokenizer = _parse(files, name=TOKENIZER_FILE)
    known = dict(_list_vocabulary(tokenizer))
    settings = [_parse(files, name=name) for name in _FILES if name in files]
    names = (_find_name(role, settings=settings) or usual for role, usual in _ROLES.items())
    return frozenset(known[name] for name in names if name in known)


def _find_name(role: str, *, settings: list[Mapping[str, Any]]) -> str | None:
    for values in settings:
        written = values.get(role)
        name = written.get("content") if isinstance(written, dict) else written
        if isinstance(name, str):
            return name
    return None


def _list_vocabulary(tokenizer: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Token and id; added tokens last, for they count."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        yield from vocabulary.items()
    elif isinstance(vocabulary, list):  # Unigram: pairs of a token and its score, in the order of the ids
        yield from ((entry[0], index) for index, entry in enumerate(vocabulary))
    yield from ((token["content"], token["id"]) for token in tokenizer.get("added_tokens") or ())


def _parse(files: Files, *, name: str) -> Mapping[str, Any]:
    try:
        document = orjson.loads(files[name])
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_FILE, f"{name} is not JSON: {error.msg}.") from error
    if not isinstance(document, dict):
        raise Refusal(Reason.INVALID_FILE, f"{name} is not a JSON object.")
    return document
