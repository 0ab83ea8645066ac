"""GET /health: whether requests are answered now."""

from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response


async def check_health(call: Call) -> Response:
    return json_response({"status": "ok"})
