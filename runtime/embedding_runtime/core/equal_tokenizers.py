"""Whether two folders of a model hold the same tokenizer.

An inference-free sparse model keeps one beside its table of weights and one beside its encoder. The runtime has one
tokenizer for both; another one for queries would look up the weights of other tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from embedding_model.refusal import Reason, Refusal
from embedding_model.tokenizer_files import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, choose_tokenizer_file
from embedding_runtime.files import Files, files_in

# What of a tokenizer.json does not count: the library leaves behind what the last call asked for.
_LEFT_BEHIND = ("truncation", "padding")
# What counts of tokenizer_config.json where a vocabulary alone is there.
_OPTIONS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")


def require_one_tokenizer(files: Files, *, folders: Sequence[str], family: str) -> None:
    """`folders` are those of the model ("" its root).

    Raises Refusal: UNSUPPORTED_ARCHITECTURE where their tokenizers differ, MISSING_FILE, INVALID_FILE.
    """
    first, *others = (_describe(files_in(files, folder=folder or None), family=family) for folder in folders)
    if any(other != first for other in others):
        raise Refusal(
            Reason.UNSUPPORTED_ARCHITECTURE,
            f"the tokenizers in {' and '.join(folder or 'the root' for folder in folders)} differ: this model reads "
            "queries with other tokens than documents, which is not served",
        )


def _describe(files: Files, *, family: str) -> Mapping[str, Any]:
    own = {name for name in files if "/" not in name}
    chosen = choose_tokenizer_file(own, family=family)
    if chosen == TOKENIZER_FILE:
        document = _parse(files[chosen], name=chosen)
        return {key: value for key, value in document.items() if key not in _LEFT_BEHIND}
    options = _parse(files[TOKENIZER_CONFIG_FILE], name=TOKENIZER_CONFIG_FILE) if TOKENIZER_CONFIG_FILE in own else {}
    return {"vocabulary": bytes(files[chosen]), **{name: options.get(name) for name in _OPTIONS}}


def _parse(data: bytearray, *, name: str) -> Mapping[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_FILE, f"{name} is not JSON: {error.msg}") from error
    if not isinstance(document, dict):
        raise Refusal(Reason.INVALID_FILE, f"{name} is not a JSON object")
    return document
