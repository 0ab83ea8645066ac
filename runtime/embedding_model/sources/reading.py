"""Opening and hashing files of a folder that others may write to."""

import hashlib
import os
import stat
from io import FileIO
from pathlib import Path
from typing import BinaryIO

_BLOCK = 4 * 1024 * 1024  # bytes; hashing is as fast as memory from 1 MiB on


def open_regular(path: Path) -> FileIO:
    """A file for reading, unbuffered. FileNotFoundError for a link or anything else that is no plain file; OSError.

    A pipe in a file's place must not hold the reader, nor a link lead it elsewhere.
    """
    if path.is_symlink():
        raise FileNotFoundError(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return FileIO(descriptor)


def hash_in_place(path: Path) -> tuple[int, str] | None:
    """Size in bytes and sha256 of a plain file; None for anything else, a link too. Raises OSError."""
    try:
        with open_regular(path) as file:
            return hash_stream(file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def hash_stream(file: BinaryIO) -> tuple[int, str]:
    """Size in bytes and sha256 (64 hex digits) of what is left of an open file. Raises OSError."""
    digest = hashlib.sha256()
    size = 0
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()
