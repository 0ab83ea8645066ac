"""Where verified files go: a folder (an emptyDir, a developer's disk) or a cache that many pods share.

A file grows under a name of its own, and gets its place by a rename once its hash is right: what is in its place is
right, whoever wrote it.
"""

import hashlib
from pathlib import Path
from typing import Protocol

from embedding_model.resolved import FileEntry
from embedding_model.sources.listing import check_path
from embedding_model.sources.manifest import locate, not_there
from embedding_model.sources.reading import hash_in_place
from embedding_model.sources.volume import free_bytes, publish, volume_errors

PARTIAL = ".partial"


class Destination(Protocol):
    """Errors: Refusal for what will not change, Unavailable for what may (a full or read-only volume)."""

    def has(self, entry: FileEntry) -> bool:
        """Whether the file is in its place and right. A wrong one is removed, or replaced by the next `commit`."""

    def part(self, entry: FileEntry) -> Path:
        """Where the file grows; on the volume of its place. What an earlier process left there may be continued.

        The writer may keep notes beside it, under names that begin with the part's own; `commit` removes them.
        """

    def commit(self, entry: FileEntry, *, part: Path) -> None:
        """Give a part whose hash is right its place. Another process may have been first: that is fine."""

    def release(self, part: Path) -> None:
        """The writer has stopped short of `commit`; what it wrote stays, to be continued."""

    def locate(self, entry: FileEntry) -> Path:
        """The file in its place; Refusal(MISSING_FILE) when it is not there."""

    def free_bytes(self) -> int:
        """What the volume still takes."""


class FolderDestination:
    """The files under their own paths below `root`, which one process at a time fills.

    `has` hashes: whatever an earlier process, or the user's own hand, left there is not trusted. Parts are in
    `<root>/.partial`; `tidy` removes it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / PARTIAL

    def has(self, entry: FileEntry) -> bool:
        check_path(entry.path)
        place = self._root / entry.path
        with volume_errors(self._root):
            if hash_in_place(place) == (entry.size, entry.sha256):
                return True
            if place.is_symlink() or place.is_file():
                place.unlink()
            return False

    def part(self, entry: FileEntry) -> Path:
        """Named by path and content: two paths with one content grow apart, a new content begins anew."""
        check_path(entry.path)
        with volume_errors(self._root):
            self._partial.mkdir(parents=True, exist_ok=True)
        return self._partial / hashlib.sha256(f"{entry.path}\0{entry.sha256}".encode()).hexdigest()

    def commit(self, entry: FileEntry, *, part: Path) -> None:
        place = self._root / entry.path
        with volume_errors(self._root):
            place.parent.mkdir(parents=True, exist_ok=True)
            publish(part, place=place)
            for note in part.parent.glob(f"{part.name}*"):
                note.unlink(missing_ok=True)

    def release(self, part: Path) -> None:
        pass

    def locate(self, entry: FileEntry) -> Path:
        path = locate(entry, folder=self._root)
        if not path.is_file():
            raise not_there(entry, folder=self._root)
        return path

    def free_bytes(self) -> int:
        with volume_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            return free_bytes(self._root)

    def tidy(self) -> None:
        """Remove what is left of parts, also of files that are no longer asked for."""
        with volume_errors(self._root):
            if self._partial.is_dir() and not self._partial.is_symlink():
                for leftover in self._partial.iterdir():
                    leftover.unlink()
                self._partial.rmdir()
