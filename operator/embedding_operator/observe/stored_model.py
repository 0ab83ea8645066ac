"""Resolutions that our ConfigMaps hold: found there first, so that restarts and spec edits resolve nothing anew."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from embedding_model import ports
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.observe.facts import ResolutionRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredModel:
    """One ConfigMap `<name>-model-<hash10>`. `request` is the token of the request that it answers."""

    name: str
    request: str
    resolved: ResolvedModel
    created: str


def read_stored_models(config_maps: Iterable[Mapping[str, Any]]) -> Sequence[StoredModel]:
    """Every readable one. One that another operator version wrote and we cannot read counts as absent."""
    found = []
    for item in config_maps:
        metadata = item["metadata"]
        if metadata.get("labels", {}).get(names.LABEL_COMPONENT) != names.COMPONENT_MODEL:
            continue
        try:
            resolved = ResolvedModel.from_json((item.get("data") or {}).get(ports.MODEL_FILE, ""))
        except ValidationError as error:
            logger.warning("ConfigMap %s cannot be read: %d errors", metadata["name"], error.error_count())
            continue
        found.append(
            StoredModel(
                name=metadata["name"],
                request=(metadata.get("annotations") or {}).get(names.ANNOTATION_REQUEST, ""),
                resolved=resolved,
                created=metadata.get("creationTimestamp", ""),
            )
        )
    return found


def find_stored_model(stored: Sequence[StoredModel], *, request: ResolutionRequest) -> StoredModel | None:
    """The one that answers `request`, the latest asked for first.

    A request without requestedAt is answered by any resolution of the same source: taking the annotation away asks
    nothing anew.
    """
    key, _, asked = request.token.partition("@")
    matching = [
        model
        for model in stored
        if model.request == request.token or (not asked and model.request.partition("@")[0] == key)
    ]
    return max(matching, key=lambda model: (model.request.partition("@")[2], model.created, model.name), default=None)


def find_lost_commit(status: object, *, request: ResolutionRequest, stored: Sequence[StoredModel]) -> str | None:
    """The commit that `request` was answered with, by a status whose ConfigMap is gone; None when it is a new request.

    Asking for the branch again could follow it to where it is now, which nobody asked for.
    """
    before = EmbeddingModelStatus.from_dict(status)
    model, origin = before.model, request.origin
    if model is None or model.revision is None or before.last_handled_request != request.requested_at:
        return None
    if (model.source, model.requested) != (origin.repo, origin.requested):
        return None
    # A ConfigMap of this commit is there and answers something else: so it is the request that changed.
    is_new = any(
        (item.resolved.origin.repo, item.resolved.origin.revision) == (origin.repo, model.revision) for item in stored
    )
    return None if is_new else model.revision
