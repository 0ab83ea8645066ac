"""What audits cost one start of a pod, so that they take no more than their share of its time."""

from dataclasses import dataclass
from typing import Final

# A pod spends at most one part in so many on answering audits, however long that takes it.
AUDIT_SHARE: Final = 100


@dataclass
class AuditBudget:
    """`cost`: seconds that an audit costs this pod, None until that is known: the least that one took that passed.

    Whatever else ran beside an audit made it longer, and the first one the start of the pod: neither is its cost. One
    that was not finished cost as long as the pod was asked, or as much as a whole one where that is known to be less:
    the pod gives up what nobody waits for any more.
    """

    cost: float | None = None
    _passed: int = 0
    _begun: int = 0
    _rested_at: float = 0.0  # by the clock

    def charge(self, seconds: float, *, passed: bool, now: float) -> None:
        """For an audit that was finished, and asked the pod for so long."""
        self._begun += 1
        if passed:
            self._passed += 1
            if self._passed > 1:
                self.cost = min(seconds, self.cost or seconds)
        self._owe(self.cost or 0.0, now=now)

    def charge_unfinished(self, seconds: float, *, now: float) -> None:
        """For an audit that was given up after it had asked the pod for so long."""
        self._begun += 1
        if self._begun > 1:
            self._owe(min(seconds, self.cost or seconds), now=now)

    def rest(self, *, now: float) -> float:
        """Seconds until the pod may be audited again."""
        return max(0.0, self._rested_at - now)

    def _owe(self, seconds: float, *, now: float) -> None:
        self._rested_at = max(self._rested_at, now) + AUDIT_SHARE * seconds
