"""One command at a time: two that start, stop or build at once would undo each other's work."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from localcluster import layout
from localcluster.progress import say


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock of that name; waits, and says so, while another command holds it."""
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    with (layout.CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("  another hack/cluster is at work: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
