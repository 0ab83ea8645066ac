"""A cache as the place where files go, and as the place where they are read."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import socket
import stat
from pathlib import Path

from embedding_model.cache.layout import FILE_MODE, CacheLayout, CacheVerify, share_file
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.reading import hash_in_place
from embedding_model.sources.volume import free_bytes, publish, volume_errors


class CacheDestination:
    """Files by their sha256 below `<root>/embedding-operator-v1`; see `cache.layout` for the rules.

    `verify` Full hashes a blob before it counts as there; Quick looks at its size. A wrong blob is not removed, for
    another pod may have replaced it in the meantime; `commit` replaces it. `writer` names this writer's parts: the same
    after a restart of the container, so that it goes on where it stopped (None: the host's name, which is the pod's).
    """

    def __init__(self, root: Path, *, verify: CacheVerify = CacheVerify.FULL, writer: str | None = None) -> None:
        self._layout = CacheLayout(root)
        self._verify = verify
        self._writer = hashlib.sha256((writer or socket.gethostname()).encode()).hexdigest()[:16]
        self._locks: dict[Path, int] = {}

    def has(self, entry: FileEntry) -> bool:
        with volume_errors(self._layout.root):
            place = self._place(entry)
            found = _size(place) == entry.size and (
                self._verify is CacheVerify.QUICK or hash_in_place(place) == (entry.size, entry.sha256)
            )
            if found:
                _mark_used(place)
            return found

    def part(self, entry: FileEntry) -> Path:
        """This writer's own; another name where somebody holds that one, so that no two ever write to one file."""
        self._layout.prepare()
        with volume_errors(self._layout.root):
            for name in (self._writer, secrets.token_hex(8)):
                part = self._layout.partial / f"{entry.sha256}-{name}"
                if self._take(part):
                    return part
        raise Unavailable(f"no part of {entry.path} can be made in the cache {self._layout.root}")

    def commit(self, entry: FileEntry, *, part: Path) -> None:
        with volume_errors(self._layout.root):
            place = self._place(entry)
            self._layout.make_folder(place.parent)
            if self.has(entry):
                part.unlink(missing_ok=True)  # somebody was first, and its readers keep what they have open
            else:
                publish(part, place=place)
                _mark_used(place)
            for note in part.parent.glob(f"{part.name}*"):
                note.unlink(missing_ok=True)
            self.release(part)

    def release(self, part: Path) -> None:
        descriptor = self._locks.pop(part, None)
        if descriptor is not None:
            os.close(descriptor)

    def locate(self, entry: FileEntry) -> Path:
        with volume_errors(self._layout.root):
            place = self._place(entry)
            if _size(place) is None:
                raise Refusal(
                    Reason.MISSING_FILE,
                    f"{entry.path} (sha256 {entry.sha256}) is not in the cache {self._layout.root}; fetch the model"
                    " again (a new pod does), and prune less than what pods still use",
                )
            return place

    def free_bytes(self) -> int:
        self._layout.prepare()
        with volume_errors(self._layout.root):
            return free_bytes(self._layout.folder)

    def _place(self, entry: FileEntry) -> Path:
        place = self._layout.blob(entry.sha256)
        self._layout.check_folder(place.parent)
        return place

    def _take(self, part: Path) -> bool:
        """Open or make the part and hold its lock for as long as this process lives; False when it is held."""
        if part in self._locks:
            return False
        try:
            descriptor = os.open(part, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES) and os.path.lexists(part):
                return False  # something else, or somebody else's, has that name
            raise
        share_file(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                return False
            # No locks here (some network file systems): the name is this pod's alone, which is enough.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return False
        self._locks[part] = descriptor
        return True


def _mark_used(path: Path) -> None:
    """`prune` goes by it. Not on a read-only mount, and not for a blob of another user whose group is not ours."""
    with contextlib.suppress(OSError):
        os.utime(path, follow_symlinks=False)


def _size(path: Path) -> int | None:
    """Of a plain file; None for anything else. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
