"""OpenAI's routes, and its form of an error.

`type` fits the status: see `errors.Row`.
"""

from embedding_runtime.errors import RequestError
from embedding_runtime.http.dialect import Dialect, Route
from embedding_runtime.http.errors import Row
from embedding_runtime.http.openai.embeddings import EmbeddingsRequest, create_embeddings
from embedding_runtime.http.openai.models import list_models, show_model
from embedding_runtime.http.openai.replies import EmbeddingsReply, ErrorReply, Model, ModelsReply


def describe_error(error: RequestError, row: Row) -> dict[str, object]:
    return {"error": {"message": error.message, "type": row.openai_type, "param": error.param, "code": row.code}}


_EMBEDDINGS = Route(create_embeddings, summary="Vectors of texts.", form=EmbeddingsRequest, reply=EmbeddingsReply)

OPENAI = Dialect(
    name="openai",
    routes={
        "/v1/embeddings": {"POST": _EMBEDDINGS},
        "/v1/models": {
            "GET": Route(list_models, summary="The names under which the model is served.", reply=ModelsReply)
        },
        "/v1/models/{model}": {"GET": Route(show_model, summary="One of these names.", reply=Model)},
    },
    error_body=describe_error,
    error_reply=ErrorReply,
)
