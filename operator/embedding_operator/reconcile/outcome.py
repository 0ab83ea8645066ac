"""The three outcomes of a reconcile. Anything else is an exception: logged with its stack, retried with backoff.

Done      nothing to do until something changes
Wait      come back after so many seconds, even when nothing changes
Stalled   waiting cannot help: only a change of the object, or of something it names, can
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    pass


@dataclass(frozen=True)
class Wait:
    after_seconds: float
    reason: str


@dataclass(frozen=True)
class Stalled:
    """The status says what the user must do; the work queue needs no retry beyond its resync."""

    reason: str


Outcome = Done | Wait | Stalled
