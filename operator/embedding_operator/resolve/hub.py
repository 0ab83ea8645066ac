"""One resolution: ask the hub which commit a revision is, which files it has, and what the model is."""

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.hub import HubSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_operator.children.profile import Endpoints, Unrenderable, choose_endpoint
from embedding_operator.observe.facts import ResolutionRequest, Resolved


def resolve_from_hub(request: ResolutionRequest, *, settings: Endpoints) -> Resolved:
    """Commit, manifest and inspection of a HuggingFace request. Blocks on the network: call it from a worker thread.

    Raises:
        Refusal: the model cannot be served as asked, or names a mirror that is not configured.
        Unavailable: the hub could not be asked.
    """
    origin = request.origin
    if origin.repo is None or origin.requested is None:
        raise ValueError(f"expected a request for a repository's revision, found one for {origin.kind}")
    try:
        endpoint = choose_endpoint(settings, mirror=origin.mirror)
    except Unrenderable as error:
        raise Refusal(Reason.MIRROR_NOT_FOUND, error.message, field="model.huggingFace.mirror") from error
    with HubSource.resolve(
        endpoint=endpoint, repo=origin.repo, revision=origin.requested, mirror=origin.mirror
    ) as source:
        inspection = inspect(source)
        manifest = build_manifest(source, paths=select(source))
        return Resolved(origin=source.origin, manifest=manifest, inspection=inspection)
