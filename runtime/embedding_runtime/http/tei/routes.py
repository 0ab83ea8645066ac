"""The routes of text-embeddings-inference (TEI), and its form of an error.

Its errors are `{"error": text, "error_type": word}` with statuses of their own (router/src/http/server.rs and
router/src/http/types.rs of huggingface/text-embeddings-inference, 1.9).
"""

from collections.abc import Mapping

from embedding_runtime import errors
from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect, Methods, Route
from embedding_runtime.http.errors import Row, Statuses
from embedding_runtime.http.tei import replies
from embedding_runtime.http.tei.decode import DecodeRequest, decode_ids
from embedding_runtime.http.tei.embed import EmbedRequest, create_embeddings
from embedding_runtime.http.tei.embed_all import create_token_embeddings
from embedding_runtime.http.tei.embed_sparse import create_sparse_embeddings
from embedding_runtime.http.tei.health import check_health
from embedding_runtime.http.tei.info import show_info
from embedding_runtime.http.tei.predict import PredictRequest, predict_labels
from embedding_runtime.http.tei.rerank import RerankRequest, rerank_texts
from embedding_runtime.http.tei.root import RootRequest, answer_task
from embedding_runtime.http.tei.similarity import SimilarityRequest, compare_texts
from embedding_runtime.http.tei.texts import TextsRequest
from embedding_runtime.http.tei.tokenize import TokenizeRequest, tokenize_texts

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
    errors.MalformedRequest: "Validation",
    errors.HeadTimeout: "Validation",
    errors.HeadTooLarge: "Validation",
    errors.BodyTimeout: "Validation",
    errors.BodyTooLarge: "Validation",
    errors.SpaceMismatch: "Validation",
    errors.WrongTask: "Backend",
    errors.TokenizerFailed: "Tokenizer",
    errors.UnknownToken: "Tokenizer",
    errors.InferenceFailed: "Backend",
    errors.Overloaded: "Overloaded",
    errors.DeadlineExceeded: "Overloaded",
    errors.NotReady: "Unhealthy",
}


def describe_error(error: RequestError, row: Row) -> dict[str, object]:
    """`row` is not asked: TEI names an error by its kind alone."""
    return {"error": error.message, "error_type": next(_TYPES[kind] for kind in type(error).__mro__ if kind in _TYPES)}


_HEALTH = Route(check_health, summary="Whether requests are answered.", reply=replies.HealthReply, open=True)

_ROUTES: Mapping[str, Methods] = {
    "/": {
        "GET": _HEALTH,
        "POST": Route(
            answer_task, summary="What the model is for, whatever that is.", form=RootRequest, reply=replies.RootReply
        ),
    },
    "/embed": {
        "POST": Route(
            create_embeddings,
            summary="Vectors of texts.",
            form=EmbedRequest,
            reply=replies.EmbedReply,
        )
    },
    "/embed_all": {
        "POST": Route(
            create_token_embeddings,
            summary="A vector for each token of texts.",
            form=TextsRequest,
            reply=replies.EmbedAllReply,
        )
    },
    "/embed_sparse": {
        "POST": Route(
            create_sparse_embeddings,
            summary="Sparse vectors of texts.",
            form=TextsRequest,
            reply=replies.EmbedSparseReply,
        )
    },
    "/similarity": {
        "POST": Route(
            compare_texts,
            summary="How similar each of several texts is to one.",
            form=SimilarityRequest,
            reply=replies.SimilarityReply,
        )
    },
    "/predict": {
        "POST": Route(
            predict_labels,
            summary="Labels of texts.",
            form=PredictRequest,
            reply=replies.PredictReply,
        )
    },
    "/rerank": {
        "POST": Route(
            rerank_texts,
            summary="Scores of texts for a query.",
            form=RerankRequest,
            reply=replies.RerankReply,
        )
    },
    "/tokenize": {
        "POST": Route(
            tokenize_texts,
            summary="The tokens of texts.",
            form=TokenizeRequest,
            reply=replies.TokenizeReply,
        )
    },
    "/decode": {
        "POST": Route(
            decode_ids,
            summary="The texts of token ids.",
            form=DecodeRequest,
            reply=replies.DecodeReply,
        )
    },
    "/info": {"GET": Route(show_info, summary="What is served, and how sure that is.", reply=replies.InfoReply)},
    "/health": {"GET": _HEALTH},
}

TEI = Dialect(name="tei", routes=_ROUTES, error_body=describe_error, statuses=STATUSES, error_reply=replies.ErrorReply)
