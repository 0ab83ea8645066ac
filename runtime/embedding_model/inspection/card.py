"""The model card (README.md): weak evidence, written by people and tools for people.

It never decides what a model is. It is read for two things that other files do not hold: the Matryoshka sizes of the
training loss, which sentence-transformers prints into the cards it generates, and the hub's pipeline_tag, which is
shown where it disagrees.
"""

import json
import re
from dataclasses import dataclass

from embedding_model.sources.source import Source

CARD_FILE = "README.md"
_LIMIT = 256 * 1024  # bytes; generated cards list samples below the parts that are read
_MOST_SIZES = 32

_FRONT_MATTER = re.compile(r"\A---\s*\n(.{0,65536}?)\n---\s*(?:\n|\Z)", re.DOTALL)
_PIPELINE_TAG = re.compile(r"^pipeline_tag:[ \t]*['\"]?([a-z0-9-]{1,64})['\"]?[ \t]*$", re.MULTILINE)
_MATRYOSHKA = re.compile(r'"matryoshka_dims":\s*(\[[\d\s,]{1,512}\])')


@dataclass(frozen=True)
class Card:
    pipeline_tag: str | None = None
    matryoshka_dimensions: tuple[int, ...] = ()


def read_card(source: Source) -> Card:
    """What the card says; an empty card where there is none."""
    if not any(file.path == CARD_FILE for file in source.files()):
        return Card()
    text = source.read_range(CARD_FILE, start=0, length=_LIMIT).decode("utf-8", errors="replace")
    text = text.replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    tag = _PIPELINE_TAG.search(front.group(1)) if front else None
    return Card(pipeline_tag=tag.group(1) if tag else None, matryoshka_dimensions=_read_sizes(text))


def _read_sizes(text: str) -> tuple[int, ...]:
    found = _MATRYOSHKA.search(text)
    if found is None:
        return ()
    try:
        sizes = json.loads(found.group(1))
    except ValueError:
        return ()
    return tuple(sorted({size for size in sizes if size > 0}))[:_MOST_SIZES]
