"""OpenAI's GET /v1/models and /v1/models/{model}."""

from typing import Any

from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response

_BEFORE_NAME = "/v1/models/"


async def list_models(call: Call) -> Response:
    entries = [_describe(call, name=name) for name in call.loaded.model.names]
    return json_response({"object": "list", "data": entries})


async def show_model(call: Call) -> Response:
    """The name is the rest of the path, for it may hold slashes. Raises UnknownModel."""
    path: str = call.request.scope["path"]
    name = call.choose_name(path.partition(_BEFORE_NAME)[2])
    return json_response(_describe(call, name=name), model=name)


def _describe(call: Call, *, name: str) -> dict[str, Any]:
    """`created`: when this process loaded the model, for its files do not say when it was made."""
    return {"id": name, "object": "model", "created": call.loaded.since, "owned_by": "owner"}
