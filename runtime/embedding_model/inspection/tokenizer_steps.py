"""Whether the steps of tokenizer.json are those that transformers' class builds from tokenizer_config.json.

One check for each kind of class that has rules of its own: what it makes of the options, against the normaliser and the
splitting into words that are served.
"""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.tokenizer_json import TokenizerJson
from embedding_model.inspection.tokenizer_rules import Kind
from embedding_model.refusal import Reason, Refusal

_SAVE = (
    "save the tokenizer again so that its files agree (AutoTokenizer.from_pretrained(...).save_pretrained(...)), after "
    "making sure which one the model was trained with"
)


def _check_wordpiece(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: BertNormalizer from the options, then BertPreTokenizer."""
    lowercase = _flag(config, "do_lower_case", default=True)
    strip_accents = config.flag("strip_accents")
    expected = {
        "do_lower_case": lowercase,
        "strip_accents": lowercase if strip_accents is None else strip_accents,
        "tokenize_chinese_chars": _flag(config, "tokenize_chinese_chars", default=True),
    }
    if [step["type"] for step in tokenizer.normalizers] != ["BertNormalizer"]:
        contradict(config.path, "stands for BERT's normaliser", tokenizer.path, "has another one")
    [step] = tokenizer.normalizers
    found = {
        "do_lower_case": step.get("lowercase", True),
        "strip_accents": step.get("lowercase", True) if step.get("strip_accents") is None else step["strip_accents"],
        "tokenize_chinese_chars": step.get("handle_chinese_chars", True),
    }
    for key, value in expected.items():
        if found[key] is not value:
            given = "says" if config.values.get(key) is not None else "has no such key, which stands for"
            contradict(config.path, f"{given} {key} {_word(value)}", tokenizer.path, f"does {_word(found[key])}")
    if not step.get("clean_text", True):
        contradict(config.path, "stands for a normaliser that cleans the text", tokenizer.path, "does not clean it")
    if [step["type"] for step in tokenizer.pre_tokenizers] != ["BertPreTokenizer"]:
        contradict(config.path, "stands for BERT's way of splitting words", tokenizer.path, "has another one")


def _check_byte_level(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: no normaliser, then ByteLevel(add_prefix_space)."""
    if tokenizer.normalizers:
        contradict(config.path, "stands for no normaliser", tokenizer.path, "has one")
    if [step["type"] for step in tokenizer.pre_tokenizers] != ["ByteLevel"]:
        contradict(config.path, "stands for byte-level splitting", tokenizer.path, "has another one")
    [step] = tokenizer.pre_tokenizers
    _compare_prefix(config, default=False, found=bool(step.get("add_prefix_space", True)), path=tokenizer.path)


def _check_sentencepiece(tokenizer: TokenizerJson, config: JsonObject) -> None:
    """transformers: the character map of tokenizer.json, then WhitespaceSplit and Metaspace.

    Stripping, and replacing runs of blanks, which older versions wrote as well, change nothing: words end there anyway.
    """
    if not all(_keeps_words(step) for step in tokenizer.normalizers):
        contradict(config.path, "stands for the character map alone", tokenizer.path, "normalises in other ways too")
    kinds = [step["type"] for step in tokenizer.pre_tokenizers]
    if kinds not in (["WhitespaceSplit", "Metaspace"], ["Metaspace"]):
        contradict(config.path, "stands for SentencePiece's way of splitting", tokenizer.path, "has another one")
    step = tokenizer.pre_tokenizers[-1]
    scheme = step.get("prepend_scheme") or ("always" if step.get("add_prefix_space", True) else "never")
    if scheme == "first":  # only the very first word gets a prefix, which neither value of the option stands for
        contradict(config.path, "stands for a prefix on every word or none", tokenizer.path, "has it on the first")
    _compare_prefix(config, default=True, found=scheme == "always", path=tokenizer.path)


def _keeps_words(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Replace":
        return step.get("pattern") in ({"Regex": " {2,}"}, {"String": "  "})
    return step["type"] in ("Precompiled", "Strip")


# Each raises Refusal(CONTRADICTORY_EVIDENCE).
CHECKS: Mapping[Kind, Callable[[TokenizerJson, JsonObject], None]] = {
    Kind.WORDPIECE: _check_wordpiece,
    Kind.BYTE_LEVEL: _check_byte_level,
    Kind.SENTENCEPIECE: _check_sentencepiece,
}


def _compare_prefix(config: JsonObject, *, default: bool, found: bool, path: str) -> None:
    expected = _flag(config, "add_prefix_space", default=default)
    if found is not expected:
        given = "says" if config.values.get("add_prefix_space") is not None else "has no such key, which stands for"
        contradict(config.path, f"{given} add_prefix_space {_word(expected)}", path, f"does {_word(found)}")


def _flag(config: JsonObject, key: str, *, default: bool) -> bool:
    value = config.flag(key)
    return default if value is None else value


def _word(value: object) -> str:
    return "true" if value is True else "false" if value is False else "neither"


def contradict(one: str, says: str, other: str, differs: str) -> NoReturn:
    """Raises Refusal(CONTRADICTORY_EVIDENCE) for two files, each with what it says."""
    raise Refusal(Reason.CONTRADICTORY_EVIDENCE, f"{one} {says}, but {other} {differs}: {_SAVE}")
