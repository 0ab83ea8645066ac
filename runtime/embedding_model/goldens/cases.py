"""Golden cases: what a pod must answer before it may take traffic.

A set is JSON lines, one case a line, normalised: every case carries its own threshold. A set is named by its content,
so that a report or a verdict can say which set it speaks of.
"""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal, Self

import orjson
from pydantic import BaseModel, Discriminator

from embedding_model.goldens.written import DecimalText
from embedding_model.resolved import Document


class VectorCase(Document):
    """`vector`: base64 of little-endian float32, as many values as the model serves dimensions."""

    kind: Literal["vector"] = "vector"
    name: str
    input: str
    prompt: str | None = None
    vector: str
    min_cosine_similarity: DecimalText


class SimilarityCase(Document):
    """Cosine of the vectors of `a` and `b` must be within `tolerance` of `expected`."""

    kind: Literal["similarity"] = "similarity"
    name: str
    a: str
    b: str
    prompt: str | None = None
    expected: DecimalText
    tolerance: DecimalText


class RankingCase(Document):
    """The documents in the order of their scores for `query`: `order` holds their numbers, best first.

    Each score must be at least `min_gap` above the next one in that order.
    """

    kind: Literal["ranking"] = "ranking"
    name: str
    query: str
    documents: tuple[str, ...]
    order: tuple[int, ...]
    min_gap: DecimalText


class ScoreCase(Document):
    """The score of `document` for `query`, after the served activation, must be within `tolerance` of `expected`."""

    kind: Literal["score"] = "score"
    name: str
    query: str
    document: str
    expected: DecimalText
    tolerance: DecimalText


class LabelCase(Document):
    """`label` must be the best one for `input`, and its score within `tolerance` of `expected` where that is given."""

    kind: Literal["label"] = "label"
    name: str
    input: str
    label: str
    expected: DecimalText | None = None
    tolerance: DecimalText | None = None


class Term(Document):
    """A token of the vocabulary, as the tokenizer writes it, and its weight."""

    term: str
    weight: DecimalText


class SparseCase(Document):
    """The heaviest terms of `input`, heaviest first.

    They must be the heaviest ones answered, but for terms whose weights are within `tolerance` of each other, and each
    weight within `tolerance` of the expected one.
    """

    kind: Literal["sparse"] = "sparse"
    name: str
    input: str
    prompt: str | None = None
    terms: tuple[Term, ...]
    tolerance: DecimalText


GoldenCase = Annotated[
    VectorCase | SimilarityCase | RankingCase | ScoreCase | LabelCase | SparseCase, Discriminator("kind")
]


class CaseSet(BaseModel):
    """An ordered set of cases. `name` is `cs-` and 10 hex digits of the content's sha256."""

    model_config = {"frozen": True}

    cases: tuple[GoldenCase, ...]

    def to_jsonl(self) -> bytes:
        return b"".join(case.to_json() + b"\n" for case in self.cases)

    @cached_property
    def name(self) -> str:
        return "cs-" + hashlib.sha256(self.to_jsonl()).hexdigest()[:10]

    @classmethod
    def from_jsonl(cls, data: bytes) -> Self:
        return cls.model_validate({"cases": [_parse_line(line) for line in _lines(data)]})


def _lines(data: bytes) -> Iterable[bytes]:
    return (line for line in data.splitlines() if line.strip())


def _parse_line(line: bytes) -> object:
    return orjson.loads(line)
