"""A file of known size that is received in parts, in any order, and hashed once, in order, while it grows.

What a killed process had received is found again by a journal beside the file: one line `START END` for every run of
bytes that was written. The journal only says what need not be asked for again. Whether the bytes are right is said by
the hash over the whole file, so a torn journal or a torn file costs a download and never gives a wrong file.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

JOURNAL_SUFFIX = ".journal"
JOURNAL_FROM = 1024 * 1024  # bytes; a smaller file is cheaper to fetch again than to keep notes of
_NOTE_EVERY = 16 * 1024 * 1024  # bytes between two notes: what a killed process may lose on each connection
_JOURNAL_LIMIT = 4 * 1024 * 1024  # bytes read of a journal; a file of 5 TB has as much
_READ = 4 * 1024 * 1024  # bytes
_CATCH_UP = 64 * 1024 * 1024  # bytes hashed in one go while a connection waits
_BEHIND = 8 * 1024 * 1024  # bytes; the hash follows in steps of this size where it does not meet the writer


@dataclass
class Gap:
    """Bytes `start` up to `end` (excluded) that one connection fetches; `position` is the next one to come."""

    start: int
    end: int
    position: int
    noted: int

    @classmethod
    def between(cls, start: int, end: int) -> "Gap":
        return cls(start=start, end=end, position=start, noted=start)


class GrowingFile:
    """Open it, fill its gaps from any number of threads, ask for its digest, close it. Raises OSError."""

    def __init__(self, path: Path, *, size: int, part_bytes: int) -> None:
        """Gaps are at most `part_bytes` long."""
        self._path = path
        self._journal = path.with_name(path.name + JOURNAL_SUFFIX)
        self._size = size
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._hashing = threading.Lock()
        self._noting = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        there = self._read_journal() if os.fstat(self._file).st_size == size else []
        if not there:
            os.ftruncate(self._file, 0)
            self._journal.unlink(missing_ok=True)
        os.ftruncate(self._file, size)
        self.resumed = bool(there)
        self.gaps: Sequence[Gap] = _split(_holes(there, size=size), part_bytes=part_bytes)

    def received(self) -> int:
        """Bytes that need not be asked for."""
        return self._size - sum(gap.end - gap.position for gap in self.gaps)

    def join_gaps(self) -> None:
        """Let the first gap reach to the end, for a server that cannot send a part. Before any other has begun."""
        first = self.gaps[0]
        first.end = self._size
        self.gaps = [first]

    def write(self, block: bytes, *, gap: Gap) -> None:
        """The next bytes of a gap; each gap has one writer."""
        start = gap.position
        view = memoryview(block)
        while view:
            view = view[os.pwrite(self._file, view, gap.position + len(block) - len(view)) :]
        gap.position += len(block)
        if gap.position - gap.noted >= _NOTE_EVERY:
            self.note(gap)
        if self._hashing.acquire(blocking=False):  # somebody else hashes: the digest takes these bytes from the file
            try:
                if self._hashed == start:
                    self._digest.update(block)
                    self._hashed += len(block)
                elif self._prefix() - self._hashed >= _BEHIND:
                    self._catch_up(self._hashed + _CATCH_UP)
            finally:
                self._hashing.release()

    def note(self, gap: Gap) -> None:
        """Write down what came since the last note, for a process that comes after this one."""
        if self._size < JOURNAL_FROM or gap.position == gap.noted:
            return
        with self._noting, open(self._journal, "ab", opener=_open_plain) as journal:
            journal.write(b"%d %d\n" % (gap.noted, gap.position))
        gap.noted = gap.position

    def digest(self) -> str:
        """sha256 of the whole file, once there is no gap left."""
        with self._hashing:
            self._catch_up(self._size)
            return self._digest.hexdigest()

    def close(self) -> None:
        os.close(self._file)

    def _prefix(self) -> int:
        """Bytes from the start without a gap."""
        return next((gap.position for gap in self.gaps if gap.position < gap.end), self._size)

    def _catch_up(self, end: int) -> None:
        """Hash what was written out of order: the kernel still has it in memory."""
        end = min(end, self._prefix())
        while self._hashed < end:
            block = os.pread(self._file, min(_READ, end - self._hashed), self._hashed)
            if not block:
                raise OSError(f"{self._path.name} became shorter while it was written")
            self._digest.update(block)
            self._hashed += len(block)

    def _read_journal(self) -> list[tuple[int, int]]:
        """The runs of bytes that are there, sorted; lines that cannot be are left out."""
        if self._journal.is_symlink() or not self._journal.is_file():
            return []
        with self._journal.open("rb") as file:
            lines = file.read(_JOURNAL_LIMIT).splitlines(keepends=True)
        runs = [_parse(line, size=self._size) for line in lines]
        return sorted(run for run in runs if run is not None)


def forget(path: Path) -> None:
    """Let the next GrowingFile at this path begin anew. Raises OSError."""
    path.with_name(path.name + JOURNAL_SUFFIX).unlink(missing_ok=True)


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _parse(line: bytes, *, size: int) -> tuple[int, int] | None:
    start, _, end = line.partition(b" ")
    if not (line.endswith(b"\n") and start.isdigit() and end.strip().isdigit() and len(line) < 50):
        return None
    run = int(start), int(end)
    return run if run[0] < run[1] <= size else None


def _holes(runs: Sequence[tuple[int, int]], *, size: int) -> list[tuple[int, int]]:
    holes, position = [], 0
    for start, end in runs:
        if start > position:
            holes.append((position, start))
        position = max(position, end)
    if position < size:
        holes.append((position, size))
    return holes


def _split(holes: Sequence[tuple[int, int]], *, part_bytes: int) -> list[Gap]:
    return [
        Gap.between(start, min(start + part_bytes, end))
        for first, end in holes
        for start in range(first, end, part_bytes)
    ]
