"""The manifest of a source: exactly which bytes are loaded, and what is said where other bytes are found."""

from collections.abc import Iterable
from pathlib import Path

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.links import Links
from embedding_model.sources.source import Source


def build_manifest(source: Source, *, paths: Iterable[str]) -> Manifest:
    """Size and sha256 of every path, sorted by path.

    A hub's large files take the sha256 of the listing; every other file is read. Raises what `source.hash` raises.
    """
    return Manifest(files=tuple(source.hash(path) for path in sorted(set(paths))))


def locate(entry: FileEntry, *, folder: Path) -> Path:
    """The file of an entry. Links are followed as `links` allows; Refusal(UNSAFE_PATH) for one that leads further."""
    path = Links(folder).follow(entry.path)
    if path is None:
        raise Refusal(Reason.UNSAFE_PATH, f"{entry.path} leads out of the model's folder")
    return path


def not_there(entry: FileEntry, *, folder: Path) -> Refusal:
    return Refusal(Reason.MISSING_FILE, f"{entry.path} is in the manifest, but not in {folder}; fetch the model again")


def mismatch(entry: FileEntry, *, found: str) -> Refusal:
    """`found` says in words what is there: a hash, a size."""
    return Refusal(
        Reason.HASH_MISMATCH,
        f"{entry.path} is not the file that was resolved: expected sha256 {entry.sha256} ({entry.size} bytes), found "
        f"{found}; fetch the model again",
    )
