"""GET /info: what is served and how sure that is, and beside it the same in TEI's words."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from embedding_model.resolved import Pooling, ResolvedModel, Task
from embedding_runtime.core.admission import SPECIAL_TOKENS
from embedding_runtime.core.reranking import find_instruction
from embedding_runtime.http.dialect import Call, Limits, Loaded
from embedding_runtime.http.messages import Response, json_response

# As TEI calls them; it has not all of them.
_POOLINGS = {
    Pooling.CLS: "cls",
    Pooling.MEAN: "mean",
    Pooling.MAX: "max",
    Pooling.MEAN_SQRT_LENGTH: "mean_sqrt_length",
    Pooling.WEIGHTED_MEAN: "weighted_mean",
    Pooling.LAST_TOKEN: "last_token",
}
_SPLADE = "splade"


async def show_info(call: Call) -> Response:
    loaded = call.loaded
    resolved = loaded.model.resolved
    return json_response(
        {
            **_describe_as_tei(loaded),
            "models": list(loaded.model.names),
            "source": _name_source(resolved),
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


def _name_source(resolved: ResolvedModel) -> str | None:
    return resolved.origin.repo or resolved.origin.claim or resolved.origin.path


def _describe_as_tei(loaded: Loaded) -> dict[str, Any]:
    """Its Info of router/src/lib.rs, 1.9. What is a build's of TEI alone, `sha` and `docker_label`, is null."""
    resolved, limits = loaded.model.resolved, loaded.limits
    return {
        "model_id": _name_source(resolved) or next(iter(loaded.model.names)),
        "model_sha": resolved.origin.revision,
        "model_dtype": loaded.dtype,
        "model_type": _describe_type(resolved),
        "max_concurrent_requests": _count_requests(limits),
        "max_input_length": resolved.serving.max_input_tokens,
        "max_batch_tokens": limits.batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": limits.inputs,
        "auto_truncate": True,
        "tokenization_workers": limits.tokenize_threads,
        "version": version("embedding-operator"),
        "sha": None,
        "docker_label": None,
    }


def _describe_type(resolved: ResolvedModel) -> dict[str, Any]:
    """One key, which says what the model is for."""
    serving = resolved.serving
    if serving.task is Task.SPARSE:
        return {"embedding": {"pooling": _SPLADE}}
    if serving.task is Task.EMBEDDING:
        return {"embedding": {"pooling": _POOLINGS[serving.pooling] if serving.pooling else None}}
    labels = resolved.inspection.labels or ("LABEL_0",)
    return {"reranker" if serving.task is Task.RERANKING else "classifier": _describe_labels(labels)}


def _describe_labels(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _count_requests(limits: Limits) -> int:
    """Requests are not counted, their tokens are: as many as the queue holds of the smallest ones."""
    return max(1, limits.queue_tokens // SPECIAL_TOKENS)


def _describe_heads(resolved: ResolvedModel) -> dict[str, Any]:
    """What stands behind the hidden states, by the names of status.model: what the model has of it, and no more."""
    inspection = resolved.inspection
    heads = {
        "modules": [head.to_dict() for head in inspection.modules],
        "endToken": inspection.end_token,
        "tokenHeads": [head.to_dict() for head in inspection.token_heads],
        "labels": list(inspection.labels),
        "scoring": inspection.scoring.to_dict() if inspection.scoring else None,
        "instruction": find_instruction(resolved),
        "sparse": inspection.sparse.to_dict() if inspection.sparse else None,
    }
    return {name: value for name, value in heads.items() if value}
