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


GoldenCase = Annotated[VectorCase | SimilarityCase, Discriminator("kind")]


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
