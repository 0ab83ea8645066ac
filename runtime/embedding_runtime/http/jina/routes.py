"""Jina's routes, and its form of an error: `{"detail": text}`, which its clients raise as it is."""

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect, Route
from embedding_runtime.http.errors import Row, Statuses
from embedding_runtime.http.jina.embeddings import EmbeddingsRequest, create_embeddings
from embedding_runtime.http.jina.replies import EmbeddingsReply, ErrorReply, RerankReply
from embedding_runtime.http.jina.rerank import RerankRequest, rerank

# Where Jina answers with another status than the one table.
STATUSES: Statuses = {errors.InvalidRequest: 422, errors.WrongTask: 422}


def describe_error(error: RequestError, row: Row) -> dict[str, object]:
    """`row` is not asked: the status and a text are all that Jina says."""
    return {"detail": error.message}


_EMBEDDINGS = Route(create_embeddings, summary="Vectors of texts.", form=EmbeddingsRequest, reply=EmbeddingsReply)
_RERANK = Route(rerank, summary="Documents by how they fit a query.", form=RerankRequest, reply=RerankReply)

JINA = Dialect(
    name="jina",
    routes={"/v1/embeddings": {"POST": _EMBEDDINGS}, "/v1/rerank": {"POST": _RERANK}},
    error_body=describe_error,
    statuses=STATUSES,
    error_reply=ErrorReply,
)
