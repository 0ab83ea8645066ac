"""Resolutions that our ConfigMaps hold: found there first, so that restarts and spec edits resolve nothing anew."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from embedding_model import ports
from embedding_model.resolved import Origin, ResolvedModel, SourceKind
from embedding_operator.api import names
from embedding_operator.api.status import EmbeddingModelStatus, ModelStatus
from embedding_operator.observe.facts import ResolutionRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredModel:
    """One ConfigMap `<name>-model-<hash10>`. `request` is the token of the request that it answers.

    `followed`: when updatePolicy Track came to its commit (RFC 3339, UTC); empty when the request itself led to it.
    """

    name: str
    request: str
    resolved: ResolvedModel
    created: str
    followed: str = ""

    @property
    def source(self) -> str:
        return self.asked.partition("+")[0]

    @property
    def asked(self) -> str:
        """Source and terms, whenever it was asked."""
        return self.request.partition("@")[0]

    @property
    def requested_at(self) -> str:
        return self.request.partition("@")[2]

    @property
    def age(self) -> tuple[str, str, str, str]:
        """Grows with what was asked for, or followed to, later."""
        return self.requested_at, self.followed, self.created, self.name


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
        annotations = metadata.get("annotations") or {}
        found.append(
            StoredModel(
                name=metadata["name"],
                request=annotations.get(names.ANNOTATION_REQUEST, ""),
                resolved=resolved,
                created=metadata.get("creationTimestamp", ""),
                followed=annotations.get(names.ANNOTATION_FOLLOWED, ""),
            )
        )
    return found


def find_stored_model(
    stored: Sequence[StoredModel], *, request: ResolutionRequest, before: EmbeddingModelStatus, tracks: bool = False
) -> StoredModel | None:
    """The one that answers `request`, the latest asked for first.

    A request without requestedAt is answered by any resolution of the same source, first by that of the status: taking
    the annotation away asks nothing anew. Where a branch is tracked, requestedAt asks where the branch stands, which
    moves nothing by itself.
    """
    asked = f"{request.source}{request.terms}"
    matching = [
        model
        for model in stored
        if model.request == request.token or (model.asked == asked and (tracks or not request.requested_at))
    ]
    # Values of requestedAt are the user's own and need not be in order.
    if request.requested_at is not None:
        return max(matching, key=lambda model: (model.request == request.token, model.age), default=None)
    shown = None if tracks else before.model
    return max(matching, key=lambda model: (shown is not None and _is_shown(model, shown), model.age), default=None)


def _is_shown(model: StoredModel, shown: ModelStatus) -> bool:
    resolved = model.resolved
    return (shown.revision, shown.manifest) == (resolved.origin.revision, f"sha256:{resolved.manifest.digest()}")


def find_commit(
    stored: Sequence[StoredModel], *, request: ResolutionRequest, before: EmbeddingModelStatus, tracks: bool = False
) -> str | None:
    """The commit that a request without a stored answer is about all the same; None when it asks anew.

    What the spec declares (task, pooling, conversion) may change, and a ConfigMap may get lost: neither may follow a
    branch to where it is now, which nobody asked for.
    """
    if request.origin.kind is not SourceKind.HUGGING_FACE:
        return None
    sibling = find_sibling(stored, request=request, tracks=tracks)
    return sibling.resolved.origin.revision if sibling else find_lost_commit(before, request=request, stored=stored)


def find_sibling(
    stored: Sequence[StoredModel], *, request: ResolutionRequest, tracks: bool = False
) -> StoredModel | None:
    """What is stored of the same files, read on other terms (task, pooling, conversion): the latest asked for.

    As for `find_stored_model`, a request without requestedAt asks nothing anew, whenever the files were asked for.
    """
    asked = f"{request.source}{request.terms}"
    siblings = [
        model
        for model in stored
        if model.source == request.source
        and model.asked != asked
        and (tracks or not request.requested_at or model.requested_at == request.requested_at)
    ]
    return max(siblings, key=lambda model: model.age, default=None)


def describe_source(origin: Origin) -> str:
    """status.model.source."""
    if origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM:
        return f"pvc/{origin.claim}:{origin.path}"
    if origin.kind is SourceKind.IMAGE:
        return f"image/{origin.image}:{origin.path}"
    return origin.repo or ""


def find_lost_manifest(before: EmbeddingModelStatus, *, request: ResolutionRequest) -> str | None:
    """Digest of the files that a claim held by a status whose ConfigMap is gone; None when it is a new request."""
    is_new = request.requested_at not in (None, before.last_handled_request)
    if request.origin.kind is not SourceKind.PERSISTENT_VOLUME_CLAIM or before.model is None or is_new:
        return None
    return before.model.manifest if before.model.source == describe_source(request.origin) else None


def find_lost_commit(
    before: EmbeddingModelStatus, *, request: ResolutionRequest, stored: Sequence[StoredModel]
) -> str | None:
    """The commit that `request` was answered with, by a status whose ConfigMap is gone; None when it is a new request.

    Asking for the branch again could follow it to where it is now, which nobody asked for.
    """
    model, origin = before.model, request.origin
    if model is None or model.revision is None or request.requested_at not in (None, before.last_handled_request):
        return None
    if (model.source, model.requested) != (origin.repo, origin.requested):
        return None
    # A ConfigMap of this commit is there and answers something else: so it is the request that changed.
    is_new = any(
        (item.resolved.origin.repo, item.resolved.origin.revision) == (origin.repo, model.revision) for item in stored
    )
    return None if is_new else model.revision
