"""OpenAI's GET /v1/models and /v1/models/{model}."""

from typing import Any

from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response

_BEFORE_NAME = "/v1/models/"


async def list_models(call: Call) -> Response:
    entries = [_describe(call, name=name) for name in call.loaded.model.names]
    return json_response({"object": "list", "data": entries})


async def show_model(call: Call) -> Response:
    """The name is the rest of the path, for it may hold slashes; a slash at its end is taken for none, as on every
    other path, unless a name ends so. Raises UnknownModel.
    """
    rest: str = call.request.scope["path"].partition(_BEFORE_NAME)[2]
    name = call.choose_name(rest if rest in call.loaded.model.names else rest.rstrip("/"))
    return json_response(_describe(call, name=name), model=name)


def _describe(call: Call, *, name: str) -> dict[str, Any]:
    """`created`: when this process loaded the model, for its files do not say when it was made."""
    return {"id": name, "object": "model", "created": call.loaded.since, "owned_by": "owner"}
