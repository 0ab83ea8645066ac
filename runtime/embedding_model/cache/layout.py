"""The layout of a cache on a volume that any number of pods share, and the rules by which they stay out of each
other's way.

    <root>/embedding-operator-v1/          the only folder that is ever touched
        CACHEDIR.TAG                       tells backups to leave it out, and `prune` that it is ours
        blobs/sha256/ab/<sha256>           a file, complete: it got this name by a rename, after its hash was right
        partial/<sha256>-<writer>          a file that grows; each writer has its own

No locks are needed between writers: two that fetch the same file write two parts, and the second finds the first's blob
in its place. Links are never followed below the root, so whoever else can write to the volume cannot lead a reader or
a writer out of it. Nothing read from it is trusted beyond what `CacheVerify` says.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from embedding_model.refusal import Unavailable
from embedding_model.sources.volume import volume_errors

FOLDER = "embedding-operator-v1"
TAG_FILE = "CACHEDIR.TAG"
TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# A cache of model files by sha256, written by embedding-operator: https://bford.info/cachedir/
"""
_BLOBS = ("blobs", "sha256")
_PARTIAL = "partial"

# The volume's group may write, as pods of other users (an fsGroup, OpenShift's random users) share it; nobody else may
# even read: models can be private. The set-group-ID bit hands the volume's group down to new folders and files.
FOLDER_MODE = 0o2770
FILE_MODE = 0o660


class CacheVerify(StrEnum):
    """What is checked before a cached file is used."""

    FULL = "Full"  # its sha256
    QUICK = "Quick"  # its size: who else can write to the volume is trusted


class CacheLayout:
    """Paths below one root. Makes folders only in `prepare`, and checks that none on the way is a link."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.partial = self.folder / _PARTIAL
        self.blobs = self.folder.joinpath(*_BLOBS)

    def blob(self, sha256: str) -> Path:
        return self.blobs / sha256[:2] / sha256

    def exists(self) -> bool:
        """Whether a cache was ever made here. Raises Unavailable."""
        with volume_errors(self.root):
            self.check_folder(self.blobs)
            tag = self.folder / TAG_FILE
            return tag.is_file() and not tag.is_symlink() and self.blobs.is_dir()

    def prepare(self) -> None:
        """Make what is missing. Raises Unavailable, also for a root that is not there: a cache is on a mounted volume,
        and what is written where one should be would fill the node."""
        with volume_errors(self.root):
            if not self.root.is_dir():
                raise Unavailable(f"the cache {self.root} is not a folder; mount the volume there")
            self.make_folder(self.partial)
            self.make_folder(self.blobs)
            _write_tag(self.folder / TAG_FILE)

    def make_folder(self, folder: Path) -> None:
        """The folder, below the cache's own, with all above it. Raises OSError, Unavailable as `check_folder` does."""
        for current in self._way_to(folder):
            with contextlib.suppress(FileExistsError):
                current.mkdir()
                _allow(current, mode=FOLDER_MODE)
            _check(current)

    def check_folder(self, folder: Path) -> None:
        """Raises Unavailable where anything between the root and the folder is there and is not a folder, OSError."""
        for current in self._way_to(folder):
            try:
                _check(current)
            except FileNotFoundError:
                return

    def _way_to(self, folder: Path) -> Iterator[Path]:
        current = self.root
        for part in folder.relative_to(self.root).parts:
            current = current / part
            yield current


def share_file(descriptor: int) -> None:
    """Let the volume's group use a new file, where the file system knows modes."""
    with contextlib.suppress(OSError):
        os.fchmod(descriptor, FILE_MODE)


def _check(folder: Path) -> None:
    """Before anything below it is made or read: a link here would lead out of the cache."""
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise Unavailable(
            f"{folder} must be the cache's folder, but is a link or a file; remove it, or use another volume"
        )


def _allow(folder: Path, *, mode: int) -> None:
    with contextlib.suppress(OSError):  # some network file systems know no modes
        folder.chmod(mode)


def _write_tag(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, FILE_MODE)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        share_file(descriptor)
        file.write(TAG)
