"""What a judge says: good, waiting (it may come by itself), or stalled (the user must change something)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    GOOD = "Good"
    WAITING = "Waiting"
    STALLED = "Stalled"


@dataclass(frozen=True)
class Verdict:
    """`reason` is an api.reasons.Reason or a refusal's reason; `message` is for a person.

    `recheck_seconds`: ask again after so long, because the cause is nothing that we are told about.
    """

    state: State
    reason: str
    message: str = ""
    recheck_seconds: float | None = None

    @property
    def is_good(self) -> bool:
        return self.state is State.GOOD


# Causes that no watch reports: objects that do not carry our label.
RECHECK_SECONDS: Final = 15.0
# Permissions and quotas change rarely, and nothing tells us.
REFUSED_SECONDS: Final = 60.0


def good(reason: str, message: str = "") -> Verdict:
    return Verdict(State.GOOD, reason, message)


def waiting(reason: str, message: str, *, recheck_seconds: float | None = None) -> Verdict:
    return Verdict(State.WAITING, reason, message, recheck_seconds)


def stalled(reason: str, message: str, *, recheck_seconds: float | None = None) -> Verdict:
    return Verdict(State.STALLED, reason, message, recheck_seconds)
