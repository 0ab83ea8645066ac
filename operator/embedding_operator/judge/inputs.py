"""What a Deployment's template is rendered from, as one hash.

Only what the user asks for and the resolved files count. Operator version, runtime image and chart values do not: an
operator upgrade must not restart a pod.
"""

from typing import Any

from embedding_model.goldens.cases import CaseSet
from embedding_model.resolved import Origin, ResolvedModel
from embedding_operator.api.names import hash10
from embedding_operator.api.spec import EmbeddingModelSpec


def hash_inputs(spec: EmbeddingModelSpec, *, resolved: ResolvedModel, case_set: CaseSet | None) -> str:
    """Ten hex digits. Fields at their default are left out, so that a newer operator's new fields change nothing."""
    hub = spec.model.hugging_face
    since_first = {
        "token": hub.token_secret_ref.name if hub and hub.token_secret_ref else None,
        "cache": _dump(spec.cache) if spec.cache else None,
        "auth": _dump(spec.auth) if spec.auth else None,
        "reranking": _dump(spec.reranking) or None,
        "rollout": {key: value for key, value in _dump(spec.rollout).items() if key != "strategy"} or None,
    }
    return hash10(
        {
            **{name: value for name, value in since_first.items() if value is not None},
            "origin": _describe_origin(resolved.origin),
            "manifest": resolved.manifest.digest(),
            "embedding": _dump(spec.embedding),
            "goldens": case_set.name if case_set else None,
            "failurePolicy": spec.verification.failure_policy.value,
            "runtime": _dump(spec.runtime),
            "resources": _dump(spec.resources),
            "pod": _dump(spec.pod),
        }
    )


def _describe_origin(origin: Origin) -> dict[str, Any]:
    """Without the branch or tag asked for: writing its commit instead loads the same bytes."""
    return {key: value for key, value in origin.to_dict().items() if key != "requested"}


def _dump(part: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return dumped
