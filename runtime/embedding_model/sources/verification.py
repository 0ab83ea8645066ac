"""Are the files those of the manifest?"""

from pathlib import Path

from embedding_model.refusal import Refusal
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.listing import check_path
from embedding_model.sources.manifest import locate, mismatch, not_there
from embedding_model.sources.reading import hash_in_place
from embedding_model.sources.volume import volume_errors


def verify(*, manifest: Manifest, folder: Path) -> None:
    """Hash every file of the manifest in `folder`, by the rules by which it is served.

    Refuses MissingFile, UnsafePath and HashMismatch for the first that differs; raises Unavailable.
    """
    for entry in manifest.files:
        check_path(entry.path)
        with volume_errors(folder):
            found = hash_in_place(locate(entry, folder=folder))
        if found is None:
            raise not_there(entry, folder=folder)
        if found != (entry.size, entry.sha256):
            raise differs(entry, size=found[0], sha256=found[1])


def differs(entry: FileEntry, *, size: int, sha256: str) -> Refusal:
    """HASH_MISMATCH with what was found in full."""
    return mismatch(entry, found=f"sha256 {sha256} ({size} bytes)")
