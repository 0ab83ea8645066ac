"""The model card (README.md): weak evidence, written by people and tools for people.

It never decides alone what a model is, but it can raise a doubt. It is read for the front matter (pipeline_tag, tags,
base_model, license), for the Matryoshka sizes of the training loss, which sentence-transformers prints into the cards
it generates, and for code that shows a layer norm right before a cut. The front matter is YAML of which only plain
scalars and lists of them are understood.
"""

import json
import re
from dataclasses import dataclass

from embedding_model.sources.source import Source

CARD_FILE = "README.md"
_LIMIT = 256 * 1024  # bytes; generated cards list samples below the parts that are read
_MOST_SIZES = 32
_MOST_WORDS = 256

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,65536}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_KEY = re.compile(r"^(pipeline_tag|tags|base_model|license|license_name):[ \t]*([^\n]{0,4096})$", re.MULTILINE)
_ITEM = re.compile(r"[ \t]{0,16}-[ \t]+([^\n]{1,256})(?:\n|\Z)")
_PLAIN = re.compile(r"[\w./ :+-]{1,128}", re.ASCII)
# embeddings = F.layer_norm(embeddings, normalized_shape=(embeddings.shape[1],))
# embeddings = embeddings[:, :matryoshka_dim]
# A "+" before the second line is a diff's.
_LAYER_NORM_BEFORE_CUT = re.compile(
    r"layer_norm\((\w{1,40}), ?(?:normalized_shape ?= ?)?\(\1\.shape\[(?:1|-1)\],\)\)"
    r"\s{1,32}(?:\+ {0,8})?\1 ?= ?\1\[(?::|\.\.\.), ?:\w{1,40}\]"
)
_MATRYOSHKA = re.compile(r'"matryoshka_dims":\s{0,16}(\[[\d\s,]{1,512}\])')


@dataclass(frozen=True)
class Card:
    """`licence` is the hub's identifier, such as apache-2.0, or the name beside `license: other`.

    `layer_norm_before_cut`: the card's code normalises the whole vector so right before it is cut.
    """

    pipeline_tag: str | None = None
    tags: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    licence: str | None = None
    matryoshka_dimensions: tuple[int, ...] = ()
    layer_norm_before_cut: bool = False


def read_card(source: Source) -> Card:
    """What the card says; an empty card where there is none."""
    if not any(file.path == CARD_FILE for file in source.files()):
        return Card()
    text = source.read_range(CARD_FILE, start=0, length=_LIMIT).decode("utf-8", errors="replace")
    return parse_card(text)


def parse_card(text: str) -> Card:
    """The card in `text`; what does not have the expected form is left out."""
    text = text.replace("\r\n", "\n")
    front = _FRONT_MATTER.match(text)
    values = _read_front_matter(front.group(1)) if front else {}
    licence = _first(values, key="license")
    if licence == "other":
        licence = _first(values, key="license_name") or licence
    return Card(
        pipeline_tag=_first(values, key="pipeline_tag"),
        tags=values.get("tags", ()),
        base_models=values.get("base_model", ()),
        licence=licence,
        matryoshka_dimensions=_read_sizes(text),
        layer_norm_before_cut=_LAYER_NORM_BEFORE_CUT.search(text) is not None,
    )


def _read_front_matter(text: str) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for found in _KEY.finditer(text):
        inline = found.group(2).strip()
        words = inline.strip("[]").split(",") if inline else _read_items(text, start=found.end() + 1)
        plain = (word.strip().strip("'\"") for word in words[:_MOST_WORDS])
        values[found.group(1)] = tuple(word for word in plain if _PLAIN.fullmatch(word))
    return values


def _read_items(text: str, *, start: int) -> list[str]:
    items: list[str] = []
    while len(items) < _MOST_WORDS and (found := _ITEM.match(text, start)):
        items.append(found.group(1))
        start = found.end()
    return items


def _first(values: dict[str, tuple[str, ...]], *, key: str) -> str | None:
    return next(iter(values.get(key, ())), None)


def _read_sizes(text: str) -> tuple[int, ...]:
    found = _MATRYOSHKA.search(text)
    if found is None:
        return ()
    try:
        sizes = json.loads(found.group(1))
    except ValueError:
        return ()
    return tuple(sorted({size for size in sizes if size > 0}))[:_MOST_SIZES]
