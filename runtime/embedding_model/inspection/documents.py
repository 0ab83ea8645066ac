"""JSON files of a model folder, read with a size limit and asked for typed values.

Every method raises Refusal(INVALID_FILE) that names the file, the key, what was expected and which type came.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.json_size import MOST_VALUES, check_json_size
from embedding_model.sources.source import Source

# Real ones reach 1.5 MB (tokenizer_config.json with many added tokens). What they take once parsed is up to json_size.
JSON_LIMIT = 4 * 1024 * 1024  # bytes


_Value = TypeVar("_Value")


@dataclass(frozen=True)
class JsonObject:
    """One JSON object. `path` is the file it came from; an absent optional file is an empty object."""

    path: str
    values: Mapping[str, Any] = field(default_factory=dict)
    exists: bool = True

    def integer(self, key: str) -> int | None:
        """The whole number under `key`; None when the key is absent or null."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._reject(key, expected="a whole number")

    def required_integer(self, key: str) -> int:
        """The whole number, at least 1, under `key`."""
        value = self.integer(key)
        if value is None or value < 1:
            self._reject(key, expected="a whole number of at least 1")
        return value

    def number(self, key: str) -> float | None:
        """The number under `key`; None when the key is absent or null."""
        value = self.values.get(key)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        self._reject(key, expected="a number")

    def flag(self, key: str) -> bool | None:
        """The boolean under `key`; None when the key is absent or null."""
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        self._reject(key, expected="true or false")

    def text(self, key: str) -> str | None:
        """The string under `key`; None when the key is absent or null."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        self._reject(key, expected="a string")

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of strings under `key`; empty when the key is absent or null."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._reject(key, expected="a list of strings")
        return tuple(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """The object under `key`; empty when the key is absent or null."""
        value = self.values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._reject(key, expected="an object")
        return value

    def _reject(self, key: str, *, expected: str) -> NoReturn:
        found = f"found {_type_name(self.values[key])}" if key in self.values else "it is not there"
        raise Refusal(Reason.INVALID_FILE, f"{self.path}: expected {key} to be {expected}, but {found}")


def read_object(source: Source, *, path: str) -> JsonObject:
    """The JSON object in a file. Raises Refusal(INVALID_FILE, MISSING_FILE, TOO_LARGE)."""
    value = read_json(source, path=path)
    if not isinstance(value, dict):
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected a JSON object, found {_type_name(value)}")
    return JsonObject(path=path, values=value)


def read_optional_object(source: Source, *, path: str) -> JsonObject:
    """The JSON object in a file, an empty one when the source does not list the file."""
    if any(file.path == path for file in source.files()):
        return read_object(source, path=path)
    return JsonObject(path=path, exists=False)


def read_json(source: Source, *, path: str) -> Any:
    """Any JSON value. Raises Refusal(INVALID_FILE, MISSING_FILE, TOO_LARGE)."""
    data = source.read(path, limit=JSON_LIMIT)
    return parse_json(data, path=path)


def parse_json(data: bytes, *, path: str) -> Any:
    """Python's own parser, as transformers uses it: it takes NaN and Infinity, which strict parsers refuse.

    Raises Refusal(INVALID_FILE, TOO_LARGE).
    """
    require_few_values(data, path=path)
    try:
        return require_text(json.loads(data), path=path)
    except (ValueError, RecursionError):
        start = "an empty file" if not data.strip() else "something else"
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected JSON, found {start}; the file may be damaged") from None


def require_few_values(data: bytes, *, path: str) -> None:
    """Raises Refusal(TOO_LARGE) for JSON, or the start of some, that takes too much memory once parsed."""
    try:
        check_json_size(data)
    except ValueError:
        raise Refusal(Reason.TOO_LARGE, f"{path} holds more than {MOST_VALUES} values, more than are read") from None


def require_text(value: _Value, *, path: str) -> _Value:
    """The value itself. Raises Refusal(INVALID_FILE) for half of a surrogate pair anywhere in it.

    JSON can write one and UTF-8 cannot: it fits into no answer and no ConfigMap.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refusal(Reason.INVALID_FILE, f"{path}: expected JSON, found text that is not Unicode") from None
    return value


def join(folder: str, name: str) -> str:
    """The path of a file in a module's folder; "" is the model's root."""
    return f"{folder}/{name}" if folder else name


def _type_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
