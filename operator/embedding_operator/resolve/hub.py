"""One resolution: ask the hub which commit a revision is, which files it has, and what the model is."""

from collections.abc import Mapping

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.hub import HubSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_operator.observe.facts import ResolutionRequest, Resolved


def resolve_from_hub(request: ResolutionRequest, *, hub_endpoint: str, mirrors: Mapping[str, str]) -> Resolved:
    """Commit, manifest and inspection of a HuggingFace request. Blocks on the network: call it from a worker thread.

    Raises:
        Refusal: the model cannot be served as asked, or names a mirror that is not configured.
        Unavailable: the hub could not be asked.
    """
    origin = request.origin
    if origin.repo is None or origin.requested is None:
        raise ValueError(f"expected a request for a repository's revision, found one for {origin.kind}")
    endpoint = choose_endpoint(origin.mirror, hub_endpoint=hub_endpoint, mirrors=mirrors)
    with HubSource.resolve(
        endpoint=endpoint, repo=origin.repo, revision=origin.requested, mirror=origin.mirror
    ) as source:
        inspection = inspect(source)
        manifest = build_manifest(source, paths=select(source))
        return Resolved(origin=source.origin, manifest=manifest, inspection=inspection)


def choose_endpoint(mirror: str | None, *, hub_endpoint: str, mirrors: Mapping[str, str]) -> str:
    """The URL that a mirror's name stands for. Users name mirrors, never URLs: the operator must not fetch any."""
    if mirror is None:
        return hub_endpoint
    if mirror not in mirrors:
        known = ", ".join(sorted(mirrors)) or "none"
        raise Refusal(
            Reason.INVALID_OVERRIDE,
            f"mirror {mirror} is not configured (configured: {known}); name one of these, leave mirror out to use the "
            "hub itself, or add the mirror to the operator's Helm values",
            field="model.huggingFace.mirror",
        )
    return mirrors[mirror]
