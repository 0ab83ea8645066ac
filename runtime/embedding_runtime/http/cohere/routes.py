"""Cohere's routes, and its form of an error: `{"id", "message"}`."""

from uuid import uuid4

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.cohere.embed import EmbedV1Request, EmbedV2Request, embed_v1, embed_v2
from embedding_runtime.http.cohere.replies import EmbedReply, ErrorReply, RerankReply
from embedding_runtime.http.cohere.rerank import RerankV1Request, RerankV2Request, rerank_v1, rerank_v2
from embedding_runtime.http.dialect import Dialect, Route
from embedding_runtime.http.errors import Row, Statuses

# Where Cohere answers with another status than the one table. Its SDKs have a class for each of 400, 401, 403, 404,
# 422, 429, 498, 499, 500, 501, 503 and 504.
STATUSES: Statuses = {errors.DeadlineExceeded: 504}


def describe_error(error: RequestError, row: Row) -> dict[str, object]:
    """`row` is not asked: the status and a message are all that Cohere says."""
    return {"id": str(uuid4()), "message": error.message}


_EMBED_V1 = Route(embed_v1, summary="Vectors of texts.", form=EmbedV1Request, reply=EmbedReply)
_EMBED_V2 = Route(embed_v2, summary="Vectors of texts, by type of number.", form=EmbedV2Request, reply=EmbedReply)
_RERANK_V1 = Route(rerank_v1, summary="Documents by how they fit a query.", form=RerankV1Request, reply=RerankReply)
_RERANK_V2 = Route(rerank_v2, summary="Documents by how they fit a query.", form=RerankV2Request, reply=RerankReply)

COHERE = Dialect(
    name="cohere",
    routes={
        "/v1/embed": {"POST": _EMBED_V1},
        "/v2/embed": {"POST": _EMBED_V2},
        "/v1/rerank": {"POST": _RERANK_V1},
        "/v2/rerank": {"POST": _RERANK_V2},
    },
    error_body=describe_error,
    statuses=STATUSES,
    error_reply=ErrorReply,
)
