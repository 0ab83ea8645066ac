"""What a request asks the model about: texts, pairs of a query and a document, and token ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embedding_model.resolved import Side
from embedding_runtime.core.jobs import DENSE, Part
from embedding_runtime.errors import InvalidRequest

# How far from the limit a cut may be to fall between two words. What is longer without a space is no word.
LONGEST_WORD = 1024


@dataclass(frozen=True)
class Text:
    """One text, with what is put before it. `wants`: what the model has to say of it.

    It is too long where it has more tokens than the model takes, or than `max_tokens`; `side`: from which side it is
    then cut, but for its prompt; None: as the model is served, prompt and text as one.
    """

    text: str
    prompt: str = ""
    wants: frozenset[Part] = DENSE
    side: Side | None = None
    max_tokens: int | None = None

    @property
    def characters(self) -> int:
        return len(self.text)

    @property
    def tokenized_characters(self) -> int:
        """With the prompt, which is tokenised with every text anew."""
        return len(self.prompt) + len(self.text)

    @property
    def longest(self) -> int:
        """Characters of its longest text."""
        return len(self.text)

    def cut(self, *, limit: int, side: Side) -> "Text":
        """At most `limit` characters of it. `side` is the served one."""
        if self.longest <= limit:
            return self
        return replace(self, text=cut(self.text, limit=limit, side=self.side or side))


@dataclass(frozen=True)
class Pair:
    """A query and a document (or any two texts). `instruction`: for models whose template takes one; None: its own.

    `side`: from which side the document is cut where both are too long, or it has more than `max_document_tokens`
    tokens; None: as the model is served.
    """

    query: str
    document: str
    instruction: str | None = None
    side: Side | None = None
    max_document_tokens: int | None = None

    @property
    def characters(self) -> int:
        return len(self.query) + len(self.document)

    @property
    def tokenized_characters(self) -> int:
        """With the instruction, which is tokenised with every pair anew."""
        return self.characters + len(self.instruction or "")

    @property
    def longest(self) -> int:
        """Characters of its longest text."""
        return max(len(self.query), len(self.document))

    def cut(self, *, limit: int, side: Side) -> "Pair":
        """At most `limit` characters of each of its texts. `side` is the served one."""
        if self.longest <= limit:
            return self
        return replace(
            self,
            query=cut(self.query, limit=limit, side=Side.RIGHT),
            document=cut(self.document, limit=limit, side=self.side or side),
        )


# The text behind an id, on average; for how much a request of ids asks for before its ids are counted.
CHARACTERS_PER_ID = 4


@dataclass(frozen=True)
class Encoded:
    """One text as the ids that the client's own copy of the model's tokenizer made of it, prompt and special tokens
    among them. The model gets them as they are.
    """

    ids: Sequence[int]
    wants: frozenset[Part] = DENSE

    characters = 0  # none that anybody has seen
    longest = 0

    @property
    def tokenized_characters(self) -> int:
        return CHARACTERS_PER_ID * len(self.ids)

    def cut(self, *, limit: int, side: Side) -> "Encoded":
        """Itself: ids that are cut have lost the tokens at their end."""
        return self


@dataclass(frozen=True)
class Chunks:
    """The pieces of one document, read as one text, with a prompt before the first; for their tokens' vectors."""

    texts: Sequence[str]
    prompt: str = ""

    wants = frozenset({Part.TOKEN_VECTORS})

    @property
    def characters(self) -> int:
        return sum(len(text) for text in self.texts)

    @property
    def tokenized_characters(self) -> int:
        return len(self.prompt) + self.characters

    @property
    def longest(self) -> int:
        return self.characters

    def cut(self, *, limit: int, side: Side) -> "Chunks":
        """Itself. Raises InvalidRequest for more than `limit` characters: a cut would take whole pieces."""
        if self.characters <= limit:
            return self
        raise InvalidRequest(
            f"late_chunking reads all inputs as one text: they have {self.characters} characters together, and {limit} "
            "are read at most. Send fewer or shorter ones at once.",
            param="input",
        )


Input = Text | Pair | Encoded | Chunks


def describe_texts(
    texts: Sequence[str | Encoded],
    *,
    prompt: str = "",
    wants: frozenset[Part] = DENSE,
    side: Side | None = None,
    max_tokens: int | None = None,
) -> list[Input]:
    """Each text with the prompt before it and what is wanted of it; see Text. Ids are never cut.

    Raises InvalidRequest for ids where a prompt would stand before them.
    """
    inputs: list[Input] = []
    for text in texts:
        if isinstance(text, str):
            inputs.append(Text(text, prompt=prompt, wants=wants, side=side, max_tokens=max_tokens))
            continue
        if prompt:
            raise InvalidRequest(
                "A prompt is put before the inputs of this request, which cannot be done with token ids: they have to "
                'hold it already. Send prompt "" with them, or a model name that applies none.',
                param="prompt",
            )
        inputs.append(replace(text, wants=wants))
    return inputs


def cut(text: str, *, limit: int, side: Side) -> str:
    """At most `limit` characters: the first, or the last where the model keeps those. Cut before a space if possible.

    Words are tokenised each by itself, so a cut before a space changes no token of the words that stay.
    """
    if len(text) <= limit:
        return text
    if side is Side.LEFT:
        space = text.find(" ", len(text) - limit, len(text) - limit + LONGEST_WORD)
        return text[space if space >= 0 else len(text) - limit :]
    space = text.rfind(" ", max(0, limit - LONGEST_WORD), limit + 1)
    return text[: space if space > 0 else limit]
