"""Commands that can be ended with everything they have started: each one leads a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from localcluster.errors import TookTooLong
from localcluster.progress import wait_until

GRACE_SECONDS = 30.0  # pytest takes down its API servers and simulated nodes within these
KILL_SECONDS = 10.0


class Ended(Exception):
    """The groups are being ended: nothing more is started."""


class ProcessGroups:
    """Commands may be run from several threads at the same time."""

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._leaders: set[int] = set()
        self._is_ending = False

    def run(self, command: Sequence[str], *, folder: Path, output: IO[bytes] | None = None) -> int:
        """Its exit code; both its outputs go to `output` where there is one. Raises Ended after `end`.

        Call it from a thread: a signal that comes while a process is being started would leave it without a record.
        """
        with self._lock:
            if self._is_ending:
                raise Ended
            # A group beside the terminal's would be stopped when it reads from it.
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )
            self._leaders.add(process.pid)
        code = process.wait()
        with self._lock:
            if not self._is_ending:
                self._leaders.discard(process.pid)  # soon another process may have this id
        return code

    def end(self) -> None:
        """Interrupt what still runs, as Ctrl-C does, which lets tests tidy up; kill what does not heed it."""
        with self._lock:
            self._is_ending = True
        for number, patience in ((signal.SIGINT, self._grace_seconds), (signal.SIGKILL, KILL_SECONDS)):
            for group in set(_list_groups()) & self._leaders:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
            with contextlib.suppress(TookTooLong):
                wait_until(self._have_ended, what="end of processes", deadline_seconds=patience, interval_seconds=0.05)
                return

    def _have_ended(self) -> bool:
        return not self._leaders & set(_list_groups())


@contextmanager
def process_groups() -> Iterator[ProcessGroups]:
    """Commands that still run at the end of the block end with it."""
    groups = ProcessGroups()
    try:
        yield groups
    finally:
        groups.end()


def _list_groups() -> Iterator[int]:
    """Of all living processes; a zombie is none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # A process gives itself the name that stands in it, and it is cut at 15 bytes.
            state, _, group, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            if state not in "ZX":
                yield int(group)
