"""GET /health: whether requests are answered now."""

from embedding_runtime.errors import NotReady
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response


async def check_health(call: Call) -> Response:
    """Raises NotReady while workers hang or are lost: what still comes may wait for ever."""
    trouble = call.loaded.trouble()
    if trouble:
        raise NotReady(f"Not healthy: {trouble}.", retry_after=5)
    return json_response({"status": "ok"})
