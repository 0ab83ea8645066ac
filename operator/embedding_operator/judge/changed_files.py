"""Are a source's files still those that were resolved?

An edit of what the spec declares (task, pooling, conversion) has the source read again, and so has a ConfigMap that got
lost. Nobody asked for other files thereby: that is what the annotation requestedAt is for.
"""

from collections.abc import Mapping

from embedding_model.refusal import Reason, RefusalDocument
from embedding_model.resolved import FileEntry, Manifest, SourceKind
from embedding_operator.api import names
from embedding_operator.observe.facts import ResolutionRequest, Resolved
from embedding_operator.observe.snapshot import Snapshot
from embedding_operator.observe.stored_model import find_lost_manifest, find_sibling


def refuse_change(snapshot: Snapshot, *, request: ResolutionRequest, found: Resolved) -> RefusalDocument | None:
    """Why `found` is not served: it holds other bytes than what is stored of the same files; None where it does not.

    On a claim a file that came or went counts as well. Elsewhere commit and digest fix the set of files, and a newer
    operator may load more of them.
    """
    before = find_sibling(snapshot.models, request=request, tracks=snapshot.tracks)
    if before is None:
        lost, digest = find_lost_manifest(snapshot.before, request=request), f"sha256:{found.manifest.digest()}"
        return None if lost in (None, digest) else _refuse("the list of files", expected=str(lost), found=digest)
    if before.resolved.origin.revision != found.origin.revision:
        return None
    old, new = _list_files(before.resolved.manifest), _list_files(found.manifest)
    is_volume = found.origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM
    paths = sorted(old.keys() | new.keys() if is_volume else old.keys() & new.keys())
    changed = next((path for path in paths if old.get(path) != new.get(path)), None)
    if changed is None:
        return None
    return _refuse(changed, expected=_describe(old.get(changed)), found=_describe(new.get(changed)))


def _refuse(what: str, *, expected: str, found: str) -> RefusalDocument:
    message = (
        f"{what} is not what was resolved: expected {expected}, found {found}. Put back what was there, or give the "
        f"annotation {names.ANNOTATION_REQUESTED_AT} a new value to accept what is there now"
    )
    return RefusalDocument(reason=Reason.HASH_MISMATCH, message=message)


def _list_files(manifest: Manifest) -> Mapping[str, FileEntry]:
    """By path, as the source holds them: a conversion may be declared without any byte having changed."""
    return {entry.path: entry for entry in manifest.fetched()}


def _describe(entry: FileEntry | None) -> str:
    return f"sha256 {entry.sha256} ({entry.size} bytes)" if entry else "no such file"
