"""The operator's questions to a hub: what a model is, and where a branch stands. They block: use a worker thread."""

from pathlib import PurePosixPath

from embedding_model.inspection import inspect
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.access import Access
from embedding_model.sources.hub import HubSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.polling import Polled, poll_commit
from embedding_model.sources.selection import select
from embedding_model.sources.source import Source
from embedding_model.sources.weight_files import TOKEN_HEAD_PICKLES
from embedding_operator.api.spec import ConversionPolicy
from embedding_operator.children.profile import Endpoints, Unrenderable, choose_hub
from embedding_operator.observe.facts import ResolutionRequest, Resolved
from embedding_operator.resolve.tracker import BranchQuestion


def resolve_from_hub(request: ResolutionRequest, *, settings: Endpoints) -> Resolved:
    """Commit, manifest and inspection of a HuggingFace request; of the commit that it names, where it names one.

    Raises:
        Refusal: the model cannot be served as asked, or names a mirror that is not configured.
        Unavailable: the hub could not be asked.
    """
    origin = request.origin
    if origin.repo is None or origin.requested is None:
        raise ValueError(f"expected a request for a repository's revision, found one for {origin.kind}")
    with HubSource.resolve(
        access=_find_access(settings, mirror=origin.mirror),
        repo=origin.repo,
        revision=origin.requested,
        mirror=origin.mirror,
        commit=origin.revision,
    ) as source:
        inspection = inspect(source, declared=request.declared)
        if request.conversion is ConversionPolicy.ISOLATED:
            _require_no_pickled_heads(source)
        manifest = build_manifest(source, paths=select(source))
        return Resolved(origin=source.origin, manifest=manifest, inspection=inspection)


def _require_no_pickled_heads(source: Source) -> None:
    """Raises Refusal(PICKLE_ONLY), which a Job's conversion answers, where further heads lie beside the weights."""
    pickles = sorted(path for path in select(source, conversion=True) if PurePosixPath(path).name in TOKEN_HEAD_PICKLES)
    if pickles:
        raise Refusal(Reason.PICKLE_ONLY, f"further heads of the model are pickles: {', '.join(pickles)}")


def poll_branch(question: BranchQuestion, *, settings: Endpoints) -> Polled:
    """Where the branch stands. Raises Refusal and Unavailable as `resolve_from_hub` does."""
    branch = question.branch
    access = _find_access(settings, mirror=branch.mirror)
    return poll_commit(access, branch.repo, branch.revision, etag=question.etag)


def _find_access(settings: Endpoints, *, mirror: str | None) -> Access:
    try:
        return choose_hub(settings, mirror=mirror).access
    except Unrenderable as error:
        raise Refusal(Reason.MIRROR_NOT_FOUND, error.message, field="model.huggingFace.mirror") from error
