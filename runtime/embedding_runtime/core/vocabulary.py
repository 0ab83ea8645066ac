"""A model's tokenizer for its own sake: texts to tokens and back, neither cut nor prepared for the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tokenizers


@dataclass(frozen=True)
class Token:
    """`start` and `stop` are characters of the text, `text` what stands there; a special token stands nowhere in it and
    has its name.
    """

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


@dataclass(frozen=True)
class TokenizedText:
    """`text` and, when they are asked for, its tokens: as objects they take ten times the memory."""

    text: str
    encoding: tokenizers.Encoding

    def __iter__(self) -> Iterator[Token]:
        found = self.encoding
        for token_id, name, (start, stop), special in zip(
            found.ids, found.tokens, found.offsets, found.special_tokens_mask, strict=True
        ):
            if special:
                yield Token(token_id, text=name, special=True, start=None, stop=None)
            else:
                yield Token(token_id, text=self.text[start:stop], special=False, start=start, stop=stop)


class Vocabulary:
    """Thread-safe; the library works outside the GIL."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        """`backend` neither cuts nor pads."""
        self._backend = backend

    def tokenize(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[TokenizedText]:
        encodings = self._backend.encode_batch(list(texts), add_special_tokens=add_special_tokens)
        return [TokenizedText(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]

    def decode(self, sequences: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """The text of each sequence of ids that are known (see `find_unknown`)."""
        written: list[str] = self._backend.decode_batch(
            [list(ids) for ids in sequences], skip_special_tokens=skip_special_tokens
        )
        return written

    def name_ids(self, ids: Sequence[int]) -> list[str]:
        """Each token as the tokenizer writes it; `[id]` for an id that is none of its own, of weights that have more
        rows than the tokenizer has tokens.
        """
        return [self._backend.id_to_token(id_) or f"[{id_}]" for id_ in ids]

    def find_unknown(self, ids: Sequence[int]) -> int | None:
        """The first id that is none of this tokenizer's."""
        return next((id_ for id_ in ids if id_ < 0 or self._backend.id_to_token(id_) is None), None)
