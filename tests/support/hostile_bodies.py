"""Bodies that no client should send: made from ones that a route takes, by a seeded generator."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# In every text and key that is not of the API itself: no error may repeat it.
MARK = "s3cr3t"

JSON = "application/json"
CONTENT_TYPES = (
    JSON,
    JSON,
    JSON,
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "",
    "\xff/;",
)

_DEPTHS = (2, 10, 200, 1022, 1025, 20_000)


class HostileBodies:
    """`examples` are bodies that the route takes, `fields` the names that its forms have."""

    def __init__(self, *, examples: Sequence[Mapping[str, Any]], fields: Sequence[str], seed: int) -> None:
        self._examples = examples
        self._fields = fields
        self._random = random.Random(seed)

    def make(self) -> tuple[bytes, str]:
        """A body and its content type."""
        random = self._random
        content_type = random.choice(CONTENT_TYPES)
        way = random.choice(_WAYS)
        return way(self, dict(random.choice(self._examples))), content_type

    def _change_fields(self, document: dict[str, Any]) -> bytes:
        """One to three fields of the forms get values of any kind."""
        for _ in range(self._random.randint(1, 3)):
            document[self._random.choice(self._fields)] = self._value()
        return _dump(document)

    def _drop_fields(self, document: dict[str, Any]) -> bytes:
        for name in self._random.sample(sorted(document), k=self._random.randint(0, len(document))):
            del document[name]
        return _dump(document)

    def _nulls(self, document: dict[str, Any]) -> bytes:
        """Null in any field, or in place of the values inside one."""
        for name in self._fields:
            if self._random.random() < 0.3:
                document[name] = self._random.choice((None, [None], [None, None], {"text": None}, [[None]], [{}]))
        return _dump(document)

    def _add_unknown(self, document: dict[str, Any]) -> bytes:
        for number in range(self._random.choice((1, 3, 500))):
            document[f"{MARK}{number}"] = self._value()
        return _dump(document)

    def _change_entry(self, document: dict[str, Any]) -> bytes:
        """One entry of a list, or one value of an object, is of another kind."""
        inner = [name for name, value in document.items() if isinstance(value, list | dict) and value]
        if not inner:
            return self._change_fields(document)
        name = self._random.choice(inner)
        value = json.loads(json.dumps(document[name]))
        keys: Sequence[Any] = sorted(value) if isinstance(value, dict) else range(len(value))
        value[self._random.choice(keys)] = self._value()
        document[name] = value
        return _dump(document)

    def _repeat_entries(self, document: dict[str, Any]) -> bytes:
        """A list of very many entries; 2048 are taken."""
        for name, value in document.items():
            if isinstance(value, list) and value:
                entries = value * self._random.choice((50, 1025, 3000))
                return _dump({**document, name: entries})
        return self._change_fields(document)

    def _repeat_keys(self, document: dict[str, Any]) -> bytes:
        name = self._random.choice(self._fields)
        more = b",".join(_dump(name) + b":" + _dump(self._value()) for _ in range(self._random.randint(1, 5)))
        return _dump(document)[:-1] + b"," + more + b"}" if document else b"{" + more + b"}"

    def _replace_document(self, document: dict[str, Any]) -> bytes:
        return _dump(self._value())

    def _break_text(self, document: dict[str, Any]) -> bytes:
        """Not JSON, or not UTF-8: bytes cut off, changed or put in."""
        body = bytearray(_dump(document))
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(body) + 1)
            match self._random.randrange(4):
                case 0:
                    del body[place:]
                case 1:
                    body[place:place] = self._random.choice(_BROKEN)
                case 2:
                    body[place : place + 1] = bytes([self._random.randrange(256)])
                case _:
                    body[place:place] = self._random.randbytes(self._random.randint(1, 20))
        return bytes(body)

    def _write_raw_value(self, document: dict[str, Any]) -> bytes:
        """Values that JSON does not have, or that no number of a machine holds, in one of the fields."""
        name = self._random.choice(self._fields)
        raw = self._random.choice(_RAW)
        form = self._random.choice((b"%s", b"[%s]", b"[[%s]]", b'{"text":%s}'))
        document.pop(name, None)
        start = _dump(document)[:-1]
        return start + (b"," if document else b"") + _dump(name) + b":" + form.replace(b"%s", raw) + b"}"

    def _nest(self, document: dict[str, Any]) -> bytes:
        depth = self._random.choice(_DEPTHS)
        opening, closing = self._random.choice(((b"[", b"]"), (b'{"text":', b"}"), (b'[{"content":', b"}]")))
        nested = opening * depth + b'"' + MARK.encode() + b'"' + closing * depth
        name = self._random.choice(self._fields)
        document.pop(name, None)
        start = _dump(document)[:-1]
        return start + (b"," if document else b"") + _dump(name) + b":" + nested + b"}"

    def _value(self, *, depth: int = 0) -> Any:
        random = self._random
        simple: tuple[Any, ...] = (
            None,
            True,
            False,
            0,
            -1,
            1,
            random.randint(-(2**70), 2**70),
            random.choice((2**31, 2**53, 2**63 - 1, 2**64, -(2**63) - 1)),
            random.choice((0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 1.0)),
            "",
            " ",
            self._text(),
            self._text(),
            random.choice(("true", "false", "0", "1", "NaN", "null", "float", "base64", "query", "NONE", "Left")),
        )
        if depth > 2 or random.random() < 0.6:
            return random.choice(simple)
        if random.random() < 0.5:
            return [self._value(depth=depth + 1) for _ in range(random.randint(0, 4))]
        names = ("text", "content", "type", "image", "source_sentence", "sentences", "id", MARK)
        return {random.choice(names): self._value(depth=depth + 1) for _ in range(random.randint(0, 3))}

    def _text(self) -> str:
        filler = self._random.choice(_FILLERS)
        return MARK + filler * self._random.choice((1, 1, 1, 30, 700))


def _dump(value: Any) -> bytes:
    """JSON as Python writes it: numbers of any size."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


_FILLERS = (
    "a",
    " word",
    "\x00",
    "\u202e\u200b",
    "\U0001f600",
    "e\u0301",
    "\r\n",
    "漢字",
    "<script>",
    "%s%n{0}",
    "[CLS]",
    "../../",
    "\ufeff",
    "\ud800",  # half of a pair: no text at all
)
_BROKEN = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b'"',
    b"\\",
)
_RAW = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"-1e400",
    b"1" * 400,
    b"1" * 5000,
    b"0." + b"0" * 500 + b"1",
    b"01",
    b"+1",
    b".5",
    b"0x10",
    b"undefined",
    b"'" + MARK.encode() + b"'",
    b'"\\ud800"',
    b'"\\ud800\\ud800"',
    b'"\\u0000"',
    b'"\\x41"',
    b'"' + MARK.encode() * 2000 + b'"',
)

_WAYS: Sequence[Callable[[HostileBodies, dict[str, Any]], bytes]] = (
    HostileBodies._change_fields,
    HostileBodies._change_fields,
    HostileBodies._change_entry,
    HostileBodies._change_entry,
    HostileBodies._drop_fields,
    HostileBodies._nulls,
    HostileBodies._add_unknown,
    HostileBodies._repeat_keys,
    HostileBodies._replace_document,
    HostileBodies._break_text,
    HostileBodies._write_raw_value,
    HostileBodies._nest,
    HostileBodies._repeat_entries,
)
