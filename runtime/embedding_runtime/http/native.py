"""Our own two routes: /health, and /info, which says what is served and how sure that is."""

from embedding_runtime.http.dialect import Call, Dialect
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.openai import describe_error


async def check_health(call: Call) -> Response:
    return json_response({"status": "ok"})


async def show_info(call: Call) -> Response:
    loaded = call.loaded
    resolved = loaded.model.resolved
    return json_response(
        {
            "models": list(loaded.model.names),
            "source": resolved.origin.repo or resolved.origin.claim or resolved.origin.path,
            "revision": loaded.model.revision,
            "space": loaded.model.space,
            "architecture": resolved.inspection.architecture,
            "serving": resolved.serving.to_dict(),
            "evidence": [evidence.to_dict() for evidence in resolved.inspection.evidence],
            "device": loaded.device,
            "dtype": loaded.dtype,
            "path": loaded.path,
            "loading": loaded.memory.to_dict() if loaded.memory else {},
        }
    )


NATIVE = Dialect(
    name="native",
    routes={"/health": {"GET": check_health}, "/info": {"GET": show_info}},
    error_body=describe_error,
)
