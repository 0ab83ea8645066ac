"""config.json as the tables of families read it: bounded sizes, old and new keys, transformers' defaults.

A value is bounded before anything is built from it: no configuration makes a table long.
"""

from collections.abc import Iterable

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families.shapes import Size
from embedding_model.inspection.quoting import quote
from embedding_model.refusal import Reason, Refusal

_MOST_LAYERS = 1000  # the deepest models have 128; a table of 30 tensors a layer stays small
_LARGEST_SIZE = 2**40  # values; more than any memory holds, and its decimal digits can be printed


class Settings:
    """Typed, bounded reads of one config.json. `names` are the stored tensors, by canonical name."""

    def __init__(self, config: JsonObject, *, names: Iterable[str] = ()) -> None:
        self.config = config
        self._names = tuple(names)

    def size(self, *keys: str, default: int | Size | None = None) -> Size:
        """The whole number, at least 1, under the first of the keys that is there.

        Without any: `default`; a Size as default also stands in for null. Raises Refusal(INVALID_FILE).
        """
        key = next((key for key in keys if key in self.config.values), None)
        if key is None or (self.config.values[key] is None and isinstance(default, Size)):
            if default is not None:
                return default if isinstance(default, Size) else Size(default, (keys[0],))
            key = keys[0]
        value = self.config.required_integer(key)
        if value > _LARGEST_SIZE:
            raise Refusal(Reason.INVALID_FILE, f"{self.config.path}: {key} is larger than any model's")
        return Size(value, (key,))

    def optional_size(self, *keys: str, default: int = 0) -> Size | None:
        """As `size`, but None for 0: the tensors that it measures are then not there."""
        key = next((key for key in keys if key in self.config.values), None)
        if key is None:
            return Size(default, (keys[0],)) if default else None
        return None if self.config.values[key] == 0 else self.size(key)

    def layers(self, *keys: str, default: int | None = None) -> int:
        """How many layers there are. Raises Refusal(INVALID_FILE)."""
        count = self.size(*keys, default=default)
        self.bound_layers(count.keys[0], count=count.value)
        return count.value

    def bound_layers(self, what: str, *, count: int) -> None:
        """Raises Refusal(INVALID_FILE) for more layers than any model has."""
        if count > _MOST_LAYERS:
            raise Refusal(
                Reason.INVALID_FILE, f"{self.config.path}: {what} is {count}; expected at most {_MOST_LAYERS}"
            )

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The boolean under the key. Raises Refusal(INVALID_FILE)."""
        value = self.config.flag(key)
        return default if value is None else value

    def text(self, key: str) -> str | None:
        """The string under the key. Raises Refusal(INVALID_FILE)."""
        return self.config.text(key)

    def holds(self, part: str) -> bool:
        """Whether any stored tensor has this in its name."""
        return any(part in name for name in self._names)

    def require_even_heads(self, width: Size, heads: Size) -> None:
        """Raises Refusal(CONTRADICTORY_EVIDENCE) where `width` cannot be divided among the attention heads."""
        if width.value % heads.value:
            raise Refusal(
                Reason.CONTRADICTORY_EVIDENCE,
                f"{self.config.path}: {width.keys[0]} {width.value} cannot be divided among "
                f"{heads.keys[0]} {heads.value}",
            )

    def require_window(self, key: str) -> None:
        """Raises Refusal(INVALID_FILE) for a window of attention in which a token does not even see itself."""
        if self.config.integer(key) is not None:
            self.config.required_integer(key)

    def require(self, key: str, *allowed: object, default: object = None) -> None:
        """Raises Refusal(UNSUPPORTED_ARCHITECTURE) where the value is none of those that the class computes with."""
        value = self.config.values.get(key, default)
        if not _is_among(value, allowed):
            raise Refusal(
                Reason.UNSUPPORTED_ARCHITECTURE,
                f"{self.config.path}: {key} is {_show(value)}; this family is known with {_list(allowed)} only",
            )

    def require_native(self, key: str, *allowed: object) -> None:
        """Raises Refusal(REMOTE_CODE_REQUIRED) where the value is one that only the model's own code computes with.

        An absent key is as good as null.
        """
        value = self.config.values.get(key)
        if not _is_among(value, allowed):
            raise Refusal(
                Reason.REMOTE_CODE_REQUIRED,
                f"{self.config.path}: {key} is {_show(value)}, which only the model's own Python code computes; "
                f"transformers' class needs {_list(allowed)}. Own code is never run: use a repository that was "
                "converted for transformers' own class",
            )


def _is_among(value: object, allowed: tuple[object, ...]) -> bool:
    return any(value is item or (type(value) is type(item) and value == item) for item in allowed)


def _list(allowed: tuple[object, ...]) -> str:
    return " or ".join(_show(item) for item in allowed)


def _show(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < _LARGEST_SIZE else "a huge number"
    return "an object" if isinstance(value, dict) else "a list"
