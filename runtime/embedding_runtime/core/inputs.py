"""What a request asks the model about: texts, and pairs of a query and a document."""

from dataclasses import dataclass, replace

from embedding_model.resolved import Side
from embedding_runtime.core.jobs import DENSE, Part

# How far from the limit a cut may be to fall between two words. What is longer without a space is no word.
LONGEST_WORD = 1024


@dataclass(frozen=True)
class Text:
    """One text, with what is put before it. `wants`: what the model has to say of it."""

    text: str
    prompt: str = ""
    wants: frozenset[Part] = DENSE

    @property
    def characters(self) -> int:
        return len(self.text)

    @property
    def tokenized_characters(self) -> int:
        """With the prompt, which is tokenised with every text anew."""
        return len(self.prompt) + len(self.text)

    def cut(self, *, limit: int, side: Side) -> "Text":
        return self if len(self.text) <= limit else replace(self, text=cut(self.text, limit=limit, side=side))


@dataclass(frozen=True)
class Pair:
    """A query and a document (or any two texts). `instruction`: for models whose template takes one; None: its own."""

    query: str
    document: str
    instruction: str | None = None

    @property
    def characters(self) -> int:
        return len(self.query) + len(self.document)

    @property
    def tokenized_characters(self) -> int:
        """With the instruction, which is tokenised with every pair anew."""
        return self.characters + len(self.instruction or "")

    def cut(self, *, limit: int, side: Side) -> "Pair":
        if self.characters <= limit:
            return self
        return replace(
            self,
            query=cut(self.query, limit=limit, side=Side.RIGHT),
            document=cut(self.document, limit=limit, side=side),
        )


Input = Text | Pair


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
