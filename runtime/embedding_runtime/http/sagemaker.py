"""Amazon SageMaker's container contract: GET /ping, and POST /invocations for whatever the model does.

The contract says where to ask and nothing of what stands in the body, so the body's fields decide whose request it is.
An endpoint has one model and its clients know no name of it: a body without `model` gets the first served name.
"""

from collections.abc import Mapping
from dataclasses import replace

from embedding_runtime.http.cohere.routes import COHERE
from embedding_runtime.http.crossings import Crossing, Document, choose_embeddings, choose_pairs
from embedding_runtime.http.dialect import Call, Dialect, Handler
from embedding_runtime.http.jina.routes import JINA
from embedding_runtime.http.messages import Response
from embedding_runtime.http.openai.routes import OPENAI
from embedding_runtime.http.tei.routes import TEI

PING = "/ping"
INVOCATIONS = "/invocations"

# Of a request for embeddings: those that only the second version of Cohere's has.
_SECOND_VERSION = ("output_dimension", "max_tokens")


def _way(dialect: Dialect, path: str, *, names: bool = False) -> tuple[Dialect, str]:
    """A way to what a dialect does with a POST. `names`: its request has to name a model."""
    route = dialect.routes[path]["POST"]
    if names:
        route = replace(route, handler=_name_model(route.handler))
    return replace(dialect, routes={INVOCATIONS: {"POST": route}}), INVOCATIONS


def _name_model(handler: Handler) -> Handler:
    async def answer(call: Call) -> Response:
        return await handler(replace(call, document={"model": call.choose_name(None), **call.document}))

    return answer


# Each in the order of the numbers that the rule for its bodies gives.
_OWN_TASK = (_way(TEI, "/"),)
_INPUT = (_way(OPENAI, "/v1/embeddings", names=True), _way(JINA, "/v1/embeddings", names=True))
_TEXTS = (_way(COHERE, "/v1/embed"), _way(COHERE, "/v2/embed", names=True))
_QUERY = (_way(TEI, "/rerank"), _way(COHERE, "/v1/rerank"), _way(JINA, "/v1/rerank", names=True))

_BEFORE_INPUT = len(_OWN_TASK)
_BEFORE_TEXTS = _BEFORE_INPUT + len(_INPUT)
_BEFORE_QUERY = _BEFORE_TEXTS + len(_TEXTS)


def choose_invocation(document: Document) -> int:
    """The number of a way: TEI's request for the model's own task unless the body is somebody else's."""
    if "query" in document:
        return _BEFORE_QUERY + choose_pairs(document)
    if "input" in document:
        return _BEFORE_INPUT + choose_embeddings(document)
    if "texts" in document:
        return _BEFORE_TEXTS + any(field in document for field in _SECOND_VERSION)
    return 0


SAGEMAKER_PATHS: Mapping[str, Crossing] = {
    PING: Crossing([(TEI, "/health")]),
    INVOCATIONS: Crossing([*_OWN_TASK, *_INPUT, *_TEXTS, *_QUERY], choose=choose_invocation),
}
