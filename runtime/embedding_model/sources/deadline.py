"""An end for everything that the present thread reads and writes, however slowly the other side answers.

A timeout of httpx is for one read: a server that sends a byte now and then would hold a thread for ever.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Everything in the block ends after `seconds`; None: no end. An outer deadline that is nearer stays."""
    outer = _until.get()
    end = None if seconds is None else time.monotonic() + seconds
    ends = [moment for moment in (outer, end) if moment is not None]
    token = _until.set(min(ends) if ends else None)
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left(timeout: float | None) -> float | None:
    """The shorter of a timeout and what the deadline leaves; 0 when it has passed."""
    end = _until.get()
    if end is None:
        return timeout
    left = max(0.0, end - time.monotonic())
    return left if timeout is None else min(timeout, left)
