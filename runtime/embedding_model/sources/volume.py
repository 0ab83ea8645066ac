"""What every writer to a volume needs: failures in words, free space, and files that survive a crash of the node."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from embedding_model.refusal import Unavailable

SPARE_BYTES = 16 * 1024 * 1024  # kept free: what a file system needs beside the files


@contextmanager
def volume_errors(folder: Path) -> Iterator[None]:
    """Failures of the volume as Unavailable, saying what to do."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the volume at {folder} cannot be used: {_explain(error)}") from error


def free_bytes(folder: Path) -> int:
    """What an unprivileged process can still write below the folder, which exists. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def allocated_bytes(path: Path) -> int:
    """What a file, perhaps with holes, takes on its volume; 0 when there is none. Raises OSError."""
    try:
        return path.lstat().st_blocks * 512  # of 512 bytes on every file system (POSIX sys/stat.h, Linux stat(2))
    except FileNotFoundError:
        return 0


def open_part(part: Path) -> BinaryIO:
    """A part for writing, from its start. Raises OSError, also for a link: somebody else may write to the volume."""
    flags = os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(part, flags, 0o666), "w+b", buffering=0)


def write_all(descriptor: int, block: bytes) -> None:
    """Raises OSError."""
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]


def publish(part: Path, *, place: Path) -> None:
    """Give a finished file its place: its bytes are on the disk before they have its name. Raises OSError.

    The name itself may be lost with the node, and then costs a download; it never stands for bytes that were lost.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(place)


def _explain(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "it is full; give the pod more ephemeral storage, or the volume more room"
    if error.errno == errno.EROFS:
        return "it is read-only; mount it writable where models are fetched"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"user {os.getuid()} (group {os.getgid()}) may not write there; check the volume's owner and mode"
    if error.errno == errno.EFBIG:
        return "it, or a limit of the process, does not allow files of that size"
    return error.strerror or type(error).__name__
