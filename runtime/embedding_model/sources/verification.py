"""Are the files those of the manifest?"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from embedding_model.refusal import Refusal
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.folder import hash_stream
from embedding_model.sources.listing import check_path
from embedding_model.sources.manifest import locate, mismatch, not_there
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


def hash_in_place(path: Path) -> tuple[int, str] | None:
    """Size in bytes and sha256 of a regular file; None for anything else, a link too. Raises OSError."""
    try:
        with open_regular(path) as file:
            return hash_stream(file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def open_regular(path: Path) -> BinaryIO:
    """A file for reading, unbuffered. FileNotFoundError for a link or anything else that is no plain file; OSError.

    A pipe in a file's place must not hold the reader, nor a link lead it elsewhere.
    """
    if path.is_symlink():
        raise FileNotFoundError(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return os.fdopen(descriptor, "rb", buffering=0)


def differs(entry: FileEntry, *, size: int, sha256: str) -> Refusal:
    """HASH_MISMATCH with what was found in full."""
    return mismatch(entry, found=f"sha256 {sha256} ({size} bytes)")
