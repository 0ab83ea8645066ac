"""What a tokenizer.json says before its vocabulary: added tokens, and the steps around the model.

The tokenizers library writes `model`, with the vocabulary, last. Large files (17 MB for XLM-R) are read up to there
only: parsed as a whole they take hundreds of megabytes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from embedding_model.inspection.documents import JSON_LIMIT, parse_json, require_few_values, require_text
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.source import Source

_MODEL = "model"
# Most settings take a few kilobytes; many added tokens (Gemma has 6,400) take a megabyte.
_LARGE = 2 * 1024 * 1024  # bytes; up to here the whole file is read, which shows whether it is damaged
_STARTS = (64 * 1024, 1024 * 1024, JSON_LIMIT)  # bytes
_ALGORITHM = re.compile(r'\{\s{0,64}"type"\s{0,8}:\s{0,8}"(\w{1,32})"')
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in the text before the model sees it, and how it is found."""

    content: str
    id: int | None
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool

    def is_found_like(self, other: "AddedToken") -> bool:
        flags = ("single_word", "lstrip", "rstrip", "normalized")
        return all(getattr(self, flag) == getattr(other, flag) for flag in flags)


@dataclass(frozen=True)
class TokenizerJson:
    """`normalizers` and `pre_tokenizers` are the steps in order, sequences unrolled.

    `first` and `last` are the special tokens that the post-processor puts before and after one text. `algorithm` is
    the model's type, such as BPE; None where the file does not say it before the vocabulary.
    """

    path: str
    algorithm: str | None
    added_tokens: Mapping[str, AddedToken]
    normalizers: Sequence[Mapping[str, Any]]
    pre_tokenizers: Sequence[Mapping[str, Any]]
    first: tuple[str, ...]
    last: tuple[str, ...]


def read_tokenizer_json(source: Source, *, path: str) -> TokenizerJson:
    """Raises Refusal(INVALID_FILE) for what is no tokenizer.json, or one that hides its settings behind megabytes."""
    values = _read_values(source, path=path)
    try:
        first, last = _read_frame(values.get("post_processor"))
        tokens = [parse_added_token(entry, id_=entry["id"]) for entry in values.get("added_tokens") or ()]
        return TokenizerJson(
            path=path,
            algorithm=_read_algorithm(values.get(_MODEL)),
            added_tokens={token.content: token for token in tokens},
            normalizers=_unroll(values.get("normalizer"), key="normalizers"),
            pre_tokenizers=_unroll(values.get("pre_tokenizer"), key="pretokenizers"),
            first=first,
            last=last,
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        _reject(path, "its settings do not have the form that the tokenizers library writes")


def parse_added_token(entry: Mapping[str, Any], *, id_: int | None) -> AddedToken:
    """Raises TypeError and KeyError for another form. Defaults as in the tokenizers library's AddedToken."""
    content = entry["content"]
    if not isinstance(content, str) or not (id_ is None or type(id_) is int):
        raise TypeError("an added token is a string with a number")
    return AddedToken(
        content=content,
        id=id_,
        single_word=bool(entry.get("single_word", False)),
        lstrip=bool(entry.get("lstrip", False)),
        rstrip=bool(entry.get("rstrip", False)),
        normalized=bool(entry.get("normalized", not entry.get("special", False))),
    )


def _read_values(source: Source, *, path: str) -> Mapping[str, Any]:
    """The members before `model`: of a large file only its start is read, more of it while that does not reach."""
    size = next((file.size for file in source.files() if file.path == path), 0)
    for length in _STARTS:
        if size > _LARGE:
            start = source.read_range(path, start=0, length=length)
            require_few_values(start, path=path)
            values = _read_start(start.decode(errors="replace"))
            if values is not None:
                return require_text(values, path=path)
    if size > JSON_LIMIT:
        _reject(path, f"`{_MODEL}` does not begin within its first {JSON_LIMIT} bytes")
    values = parse_json(source.read(path, limit=JSON_LIMIT), path=path)
    if not isinstance(values, dict) or not isinstance(values.get(_MODEL), dict):
        _reject(path, f"there is no `{_MODEL}`")
    return values


def _read_start(text: str) -> Mapping[str, Any] | None:
    """The members of a JSON object up to `model`, which need not end within the text; None where it does not begin."""
    decode = json.JSONDecoder().raw_decode
    values: dict[str, Any] = {}
    position, mark = _skip(text, 0), "{"
    try:
        while text[position] == mark:
            key, position = decode(text, _skip(text, position + 1))
            position = _skip(text, position)
            if text[position] != ":":
                break
            if key == _MODEL:
                found = _ALGORITHM.match(text, _skip(text, position + 1))
                return {**values, _MODEL: {"type": found.group(1)} if found else {}}
            values[key], position = decode(text, _skip(text, position + 1))
            position, mark = _skip(text, position), ","
    except (ValueError, IndexError, TypeError, RecursionError):
        pass
    return None


def _read_algorithm(model: Any) -> str | None:
    algorithm = model.get("type")
    return algorithm if isinstance(algorithm, str) else None


def _skip(text: str, position: int) -> int:
    blank = _BLANK.match(text, position)
    return blank.end() if blank else position


def _unroll(step: Any, *, key: str) -> tuple[Mapping[str, Any], ...]:
    if step is None:
        return ()
    if step["type"] == "Sequence":
        return tuple(inner for outer in step[key] for inner in _unroll(outer, key=key))
    return (step,)


def _read_frame(processor: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before: list[str] = []
    after: list[str] = []
    for step in _unroll(processor, key="processors"):
        if step["type"] in ("BertProcessing", "RobertaProcessing"):
            before.append(str(step["cls"][0]))
            after.append(str(step["sep"][0]))
        elif step["type"] == "TemplateProcessing":
            side = before
            for piece in step["single"]:
                if "Sequence" in piece:
                    side = after
                else:
                    side.append(str(piece["SpecialToken"]["id"]))
    return tuple(before), tuple(after)


def _reject(path: str, problem: str) -> NoReturn:
    raise Refusal(Reason.INVALID_FILE, f"{path}: expected a file of the tokenizers library, but {problem}")
