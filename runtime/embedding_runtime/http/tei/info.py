"""GET /info: what is served and how sure that is."""

from typing import Any

from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import ResolvedModel
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response


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
            **_describe_heads(resolved),
            "evidence": [evidence.to_dict() for evidence in resolved.inspection.evidence],
            "device": loaded.device,
            "dtype": loaded.dtype,
            "path": loaded.path,
            "loading": loaded.memory.to_dict() if loaded.memory else {},
        }
    )


def _describe_heads(resolved: ResolvedModel) -> dict[str, Any]:
    """What stands behind the hidden states, by the names of status.model: what the model has of it, and no more.

    `instruction` is the one in force, also where it is the template's own.
    """
    inspection, scoring = resolved.inspection, resolved.inspection.scoring
    instruction = resolved.serving.instruction
    if instruction is None and scoring is not None and scoring.template is not None:
        instruction = RERANK_TEMPLATES[scoring.template].instruction
    heads = {
        "modules": [head.to_dict() for head in inspection.modules],
        "endToken": inspection.end_token,
        "tokenHeads": [head.to_dict() for head in inspection.token_heads],
        "labels": list(inspection.labels),
        "scoring": scoring.to_dict() if scoring else None,
        "instruction": instruction,
        "sparse": inspection.sparse.to_dict() if inspection.sparse else None,
    }
    return {name: value for name, value in heads.items() if value}
