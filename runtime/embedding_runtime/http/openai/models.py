"""OpenAI's GET /v1/models."""

from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response


async def list_models(call: Call) -> Response:
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": "owner"} for name in call.loaded.model.names]
    return json_response({"object": "list", "data": entries})
