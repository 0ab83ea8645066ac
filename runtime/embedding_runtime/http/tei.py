"""The dialect of text-embeddings-inference (TEI): one route for each task, each in a module of its own.

Its errors are `{"error": text, "error_type": word}` with statuses of their own (router/src/http/server.rs and
router/src/http/types.rs of huggingface/text-embeddings-inference, 1.9).
"""

from collections.abc import Mapping

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect
from embedding_runtime.http.errors import Row, Statuses
from embedding_runtime.http.tei_embed import create_embeddings
from embedding_runtime.http.tei_embed_all import create_token_embeddings
from embedding_runtime.http.tei_predict import predict_labels
from embedding_runtime.http.tei_rerank import rerank_texts
from embedding_runtime.http.tei_sparse import create_sparse_embeddings

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


def describe_error(error: RequestError, row: Row) -> object:
    """`row` is not asked: TEI names an error by its kind alone."""
    return {"error": error.message, "error_type": next(_TYPES[kind] for kind in type(error).__mro__ if kind in _TYPES)}


TEI = Dialect(
    name="tei",
    routes={
        "/embed": {"POST": create_embeddings},
        "/embed_all": {"POST": create_token_embeddings},
        "/embed_sparse": {"POST": create_sparse_embeddings},
        "/predict": {"POST": predict_labels},
        "/rerank": {"POST": rerank_texts},
    },
    error_body=describe_error,
    statuses=STATUSES,
)
