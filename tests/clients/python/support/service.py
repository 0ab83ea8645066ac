"""The servers under test, as whoever starts the checks names them in the environment.

EMBEDDING_URL, RERANK_URL: a server of MiniLM and one of a cross-encoder, that ask for no key.
GUARDED_URL, GUARDED_KEY: a server of MiniLM that asks for this key.
EXPECTATIONS: a file with the names that the servers answer to, texts, and what the reference implementation makes of
them; see tests/support/client_expectations.py.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_COSINE = 0.9999
SCORE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Names:
    """Names of models. `model` and `reranker` are our own, the others those that SDKs know of their vendors."""

    model: str
    openai: str
    cohere: str
    reranker: str
    cohere_reranker: str


@dataclass(frozen=True)
class Service:
    url: str
    rerank_url: str
    guarded_url: str
    key: str
    expected: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of_environment(cls) -> "Service":
        return cls(
            url=os.environ["EMBEDDING_URL"],
            rerank_url=os.environ["RERANK_URL"],
            guarded_url=os.environ["GUARDED_URL"],
            key=os.environ["GUARDED_KEY"],
            expected=json.loads(Path(os.environ["EXPECTATIONS"]).read_text()),
        )

    @cached_property
    def names(self) -> Names:
        return Names(**self.expected["names"])

    @property
    def texts(self) -> Sequence[str]:
        """1500 texts; the first are in many scripts, see `scripts`."""
        return self.expected["texts"]

    @property
    def scripts(self) -> Sequence[str]:
        """The texts that are not Latin."""
        return self.texts[: self.expected["scripts"]]

    @cached_property
    def vectors(self) -> npt.NDArray[np.float32]:
        """float32 [texts, dimensions], of length 1: what the reference implementation answers."""
        rows = np.frombuffer(base64.b64decode(self.expected["vectors"]), dtype="<f4")
        return rows.reshape(len(self.texts), -1)

    @property
    def dimensions(self) -> int:
        return self.vectors.shape[1]

    @property
    def query(self) -> str:
        return self.expected["query"]

    @property
    def documents(self) -> Sequence[str]:
        return self.expected["documents"]

    @property
    def scores(self) -> Sequence[float]:
        """Of each document for the query, 0 to 1."""
        return self.expected["scores"]

    @property
    def best(self) -> int:
        """Number of the document that ranks first."""
        return int(np.argmax(self.scores))

    def assert_vectors(self, found: Any, *, texts: slice = slice(None)) -> None:
        """These are the vectors of those texts, in their order; their length is not looked at."""
        rows, wanted = np.asarray(found, dtype=np.float64), self.vectors[texts].astype(np.float64)
        assert rows.shape == wanted.shape
        cosines = (rows * wanted).sum(axis=1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(wanted, axis=1))
        assert cosines.min() >= LEAST_COSINE, f"text {cosines.argmin()} has a cosine of {cosines.min()}"

    def assert_ranking(self, found: Sequence[tuple[int, float]], *, count: int | None = None) -> None:
        """(number of document, score) pairs, the best first: all of the documents, or the best `count`."""
        wanted = sorted(enumerate(self.scores), key=lambda pair: -pair[1])[:count]
        assert [index for index, _ in found] == [index for index, _ in wanted]
        for (_, score), (_, reference) in zip(found, wanted, strict=True):
            assert abs(score - reference) <= SCORE_TOLERANCE
