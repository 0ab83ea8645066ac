"""What the spec asks to resolve, what is stored of it, and where a branch that it tracks stands now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from embedding_model.resolved import Declared, Origin, Pooling, SourceKind, Task
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec, PoolingMode, TaskChoice
from embedding_operator.api.status import EmbeddingModelStatus
from embedding_operator.observe.facts import Facts, Head, Key, Resolution, ResolutionRequest
from embedding_operator.observe.snapshot import Object, is_tracked
from embedding_operator.observe.stored_model import StoredModel, find_commit, find_stored_model


class Hub(Protocol):
    @property
    def private(self) -> bool: ...


class Hubs(Protocol):
    """Which hubs the operator itself cannot ask; `embedding_operator.settings` knows."""

    @property
    def hub(self) -> Hub: ...
    @property
    def mirrors(self) -> Mapping[str, Hub]: ...


@dataclass(frozen=True)
class Source:
    """The part of the snapshot that speaks of the source."""

    request: ResolutionRequest | None = None
    stored: StoredModel | None = None
    resolution: Resolution | None = None
    is_private: bool = False
    head: Head | None = None
    candidate: ResolutionRequest | None = None


def read_source(
    model: Object,
    *,
    before: EmbeddingModelStatus,
    spec: EmbeddingModelSpec | None,
    models: Sequence[StoredModel],
    facts: Facts,
    key: Key,
    hubs: Hubs,
) -> Source:
    """Without a stored answer the resolver is asked; with one, where a tracked branch stands. `before`: the status."""
    if spec is None:
        return Source()
    request = _build_request(model, spec=spec)
    tracks, is_private = is_tracked(spec), _is_private(spec, hubs=hubs)
    stored = find_stored_model(models, request=request, before=before, tracks=tracks)
    asks_hub = request.origin.kind is SourceKind.HUGGING_FACE and not is_private
    if stored is None:
        request = request.at(find_commit(models, request=request, before=before, tracks=tracks))
        resolution = facts.resolution(key, request=request) if asks_hub else None
        return Source(request=request, resolution=resolution, is_private=is_private)
    found = Source(request=request, stored=stored, is_private=is_private)
    if not tracks or not asks_hub:
        return found
    handled = before.last_handled_request
    head = facts.head(key, request=request, at_once=request.requested_at not in (None, handled))
    if head is None or head.commit is None or head.commit == stored.resolved.origin.revision:
        return replace(found, head=head)
    candidate = request.at(head.commit)
    return replace(found, head=head, candidate=candidate, resolution=facts.resolution(key, request=candidate))


def _is_private(spec: EmbeddingModelSpec, *, hubs: Hubs) -> bool:
    asked = spec.model.hugging_face
    if asked is None:
        return False
    hub = hubs.hub if asked.mirror is None else hubs.mirrors.get(asked.mirror)
    return asked.token_secret_ref is not None or (hub is not None and hub.private)


def _build_request(model: Object, *, spec: EmbeddingModelSpec) -> ResolutionRequest:
    requested_at = (model["metadata"].get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT) or None
    pooling = spec.embedding.pooling
    return ResolutionRequest(
        origin=_build_origin(spec),
        requested_at=requested_at,
        declared=Declared(
            task=None if spec.task is TaskChoice.AUTO else Task(spec.task.value),
            pooling=None if pooling is PoolingMode.AUTO else Pooling(pooling.value),
        ),
        conversion=spec.model.conversion,
    )


def _build_origin(spec: EmbeddingModelSpec) -> Origin:
    hub, volume, image = spec.model.hugging_face, spec.model.persistent_volume_claim, spec.model.image
    if hub is not None:
        return Origin(kind=SourceKind.HUGGING_FACE, repo=hub.repo, requested=hub.revision, mirror=hub.mirror)
    if volume is not None:
        return Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim=volume.claim_name, path=volume.path)
    if image is None:
        raise AssertionError("a parsed spec has exactly one source")
    return Origin(kind=SourceKind.IMAGE, image=image.reference, path=image.path)
