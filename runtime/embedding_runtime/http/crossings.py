"""Paths without a prefix that several dialects have, and whose body it is that came.

What decides is fields that one dialect has and the others have not. A body that fits several is answered by the first,
in a form that the others' clients read as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embedding_runtime.http.cohere.routes import COHERE
from embedding_runtime.http.dialect import Dialect
from embedding_runtime.http.jina.routes import JINA
from embedding_runtime.http.openai.routes import OPENAI
from embedding_runtime.http.tei.routes import TEI

Document = Mapping[str, Any]

# Of a request for embeddings; `encoding_type` is what LlamaIndex calls `embedding_type`.
_JINAS_FIELDS = ("task", "late_chunking", "normalized", "embedding_type", "encoding_type")


@dataclass(frozen=True)
class Crossing:
    """The dialects of a path, each with the path that it has it from. `choose` gives the number of one for a body."""

    ways: Sequence[tuple[Dialect, str]]
    choose: Callable[[Document], int] = lambda document: 0


def choose_embeddings(document: Document) -> int:
    """1 for Jina's request, 0 for OpenAI's."""
    return int(any(field in document for field in _JINAS_FIELDS))


def choose_ranking(document: Document) -> int:
    """1 for Jina's request, 0 for Cohere's: only at Jina a query may be an object."""
    return int(isinstance(document.get("query"), dict))


def choose_pairs(document: Document) -> int:
    """0 for TEI's request, with texts, which its bare list answers; with documents 2 for Jina's, 1 for Cohere's."""
    return 0 if "texts" in document or "documents" not in document else 1 + choose_ranking(document)


_EMBEDDINGS = Crossing([(OPENAI, "/v1/embeddings"), (JINA, "/v1/embeddings")], choose=choose_embeddings)
_RANKING = Crossing([(COHERE, "/v1/rerank"), (JINA, "/v1/rerank")], choose=choose_ranking)
_PAIRS = Crossing([(TEI, "/rerank"), (COHERE, "/v1/rerank"), (JINA, "/v1/rerank")], choose=choose_pairs)

SHARED_PATHS: Mapping[str, Crossing] = {
    "/v1/embeddings": _EMBEDDINGS,
    "/embeddings": _EMBEDDINGS,
    "/v1/rerank": _RANKING,
    "/rerank": _PAIRS,
}
