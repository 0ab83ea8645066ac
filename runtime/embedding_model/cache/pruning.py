"""What a cache need not keep: files that nobody has used for long, and parts whose writers are gone.

A fetch marks the files that it finds (their time of change becomes now), so a file's age is the time since a pod last
started with it. A pod that runs has its model in memory; it reads the cache again only when its container starts anew
within the same pod, so files should be kept for longer than pods usually live.
"""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedding_model.cache.layout import FOLDER, CacheLayout
from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.growing import JOURNAL_SUFFIX
from embedding_model.sources.volume import volume_errors

SHORTEST_SECONDS = 3600.0  # a blob is in its place before the pod that fetched it has read it

_BLOB = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(rf"[0-9a-f]{{64}}-[0-9a-f]{{16}}({re.escape(JOURNAL_SUFFIX)})?")


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would have been: files, parts, and the bytes of both."""

    files: int = 0
    parts: int = 0
    bytes: int = 0
    kept: int = 0


def prune(root: Path, *, unused_seconds: float, part_seconds: float, dry_run: bool = False) -> Pruned:
    """Remove blobs that were not used for `unused_seconds`, and parts not written to for `part_seconds`.

    Ages are by the volume's own clock. What does not have the name of a blob or a part is left alone, and no link is
    followed. Raises Refusal(MISSING_FILE) where `root` holds no such cache, Unavailable, ValueError for less than
    `SHORTEST_SECONDS`.
    """
    if min(unused_seconds, part_seconds) < SHORTEST_SECONDS:
        raise ValueError(f"files are kept for at least {SHORTEST_SECONDS:g} s: pods may be about to read them")
    layout = CacheLayout(root)
    if not layout.exists():
        raise Refusal(
            Reason.MISSING_FILE,
            f"{root} holds no cache: expected its folder {FOLDER} with a CACHEDIR.TAG; nothing was removed",
        )
    with volume_errors(root):
        layout.check_folder(layout.partial)
        now = _clock(layout)
        blobs = [_Candidate.of(path, oldest=now - unused_seconds) for path in _blobs(layout)]
        parts = [_Candidate.of(path, oldest=now - part_seconds) for path in _named(layout.partial, pattern=_PART)]
        files = [blob for blob in blobs if blob.stale and (dry_run or blob.remove())]
        leftovers = [part for part in parts if part.stale and not _is_locked(part.path) and (dry_run or part.remove())]
    return Pruned(
        files=len(files),
        parts=sum(1 for part in leftovers if not part.path.name.endswith(JOURNAL_SUFFIX)),
        bytes=sum(candidate.allocated for candidate in (*files, *leftovers)),
        kept=len(blobs) - len(files),
    )


@dataclass(frozen=True)
class _Candidate:
    path: Path
    allocated: int  # bytes on the volume
    oldest: float  # what changed after this moment stays
    stale: bool

    @classmethod
    def of(cls, path: Path, *, oldest: float) -> "_Candidate":
        found = _look(path)
        stale = found is not None and found.st_mtime < oldest
        return cls(path=path, allocated=found.st_blocks * 512 if found else 0, oldest=oldest, stale=stale)

    def remove(self) -> bool:
        """Unless it was used since it was looked at, or somebody else has removed it."""
        found = _look(self.path)
        if found is None or found.st_mtime >= self.oldest:
            return False
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
            return True
        return False


def _look(path: Path) -> os.stat_result | None:
    """Of a plain file; None for anything else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _blobs(layout: CacheLayout) -> Iterator[Path]:
    for folder in sorted(layout.blobs.iterdir()):
        if re.fullmatch(r"[0-9a-f]{2}", folder.name) and folder.is_dir() and not folder.is_symlink():
            yield from (path for path in _named(folder, pattern=_BLOB) if path.name.startswith(folder.name))


def _named(folder: Path, *, pattern: re.Pattern[str]) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))


def _clock(layout: CacheLayout) -> float:
    """The volume's time now, in seconds: a file server's clock may differ from ours. Raises OSError."""
    probe = layout.partial / f"clock-{secrets.token_hex(8)}"
    layout.partial.mkdir(exist_ok=True)
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    """Whether a process of this machine, or of any where the file system tells, still writes to the part."""
    part = path.with_name(path.name.removesuffix(JOURNAL_SUFFIX))
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no locks here: the age has to do
    finally:
        os.close(descriptor)
    return False
