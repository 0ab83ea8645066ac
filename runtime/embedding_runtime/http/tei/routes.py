"""The routes of text-embeddings-inference (TEI), and its form of an error.

Its errors are `{"error": text, "error_type": word}` with statuses of their own (router/src/http/server.rs and
router/src/http/types.rs of huggingface/text-embeddings-inference, 1.9).
"""

from collections.abc import Mapping

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect, Route
from embedding_runtime.http.errors import Row, Statuses
from embedding_runtime.http.tei.embed import EmbedRequest, create_embeddings
from embedding_runtime.http.tei.embed_all import create_token_embeddings
from embedding_runtime.http.tei.embed_sparse import create_sparse_embeddings
from embedding_runtime.http.tei.health import check_health
from embedding_runtime.http.tei.info import show_info
from embedding_runtime.http.tei.predict import PredictRequest, predict_labels
from embedding_runtime.http.tei.replies import (
    EmbedAllReply,
    EmbedReply,
    EmbedSparseReply,
    ErrorReply,
    HealthReply,
    InfoReply,
    PredictReply,
    RerankReply,
)
from embedding_runtime.http.tei.rerank import RerankRequest, rerank_texts
from embedding_runtime.http.tei.texts import TextsRequest

# Where TEI answers with another status than the one table.
STATUSES: Statuses = {
    errors.InvalidRequest: 422,
    errors.EmptyInput: 400,
    errors.WrongTask: 424,
    errors.InferenceFailed: 424,
}

_TYPES: Mapping[type[RequestError], str] = {
    errors.InvalidRequest: "Validation",
    errors.EmptyInput: "Empty",
    errors.Unauthorized: "Unauthorized",
    errors.UnknownModel: "Validation",
    errors.UnknownRoute: "Validation",
    errors.MethodNotAllowed: "Validation",
    errors.BodyTooLarge: "Validation",
    errors.SpaceMismatch: "Validation",
    errors.WrongTask: "Backend",
    errors.UnknownToken: "Tokenizer",
    errors.InferenceFailed: "Backend",
    errors.Overloaded: "Overloaded",
    errors.DeadlineExceeded: "Overloaded",
    errors.NotReady: "Unhealthy",
}


def describe_error(error: RequestError, row: Row) -> dict[str, object]:
    """`row` is not asked: TEI names an error by its kind alone."""
    return {"error": error.message, "error_type": next(_TYPES[kind] for kind in type(error).__mro__ if kind in _TYPES)}


TEI = Dialect(
    name="tei",
    routes={
        "/embed": {"POST": Route(create_embeddings, summary="Vectors of texts.", form=EmbedRequest, reply=EmbedReply)},
        "/embed_all": {
            "POST": Route(
                create_token_embeddings,
                summary="A vector for each token of texts.",
                form=TextsRequest,
                reply=EmbedAllReply,
            )
        },
        "/embed_sparse": {
            "POST": Route(
                create_sparse_embeddings, summary="Sparse vectors of texts.", form=TextsRequest, reply=EmbedSparseReply
            )
        },
        "/predict": {
            "POST": Route(predict_labels, summary="Labels of texts.", form=PredictRequest, reply=PredictReply)
        },
        "/rerank": {
            "POST": Route(rerank_texts, summary="Scores of texts for a query.", form=RerankRequest, reply=RerankReply)
        },
        "/info": {"GET": Route(show_info, summary="What is served, and how sure that is.", reply=InfoReply)},
        "/health": {"GET": Route(check_health, summary="Whether requests are answered.", reply=HealthReply, open=True)},
    },
    error_body=describe_error,
    statuses=STATUSES,
    error_reply=ErrorReply,
)
