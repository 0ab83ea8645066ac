"""What audits cost one start of a pod, so that they take no more than their share of its time."""

from dataclasses import dataclass
from typing import Final

# A pod spends at most one part in so many on answering audits, however long that takes it.
AUDIT_SHARE: Final = 100
# One that has closed because it failed: no client waits for it, and it should not wait for hours to be asked again.
CLOSED_AUDIT_SHARE: Final = 10


@dataclass
class AuditBudget:
    """`cost`: seconds that an audit costs this pod, None until that is known: the least that one took that passed.

    Whatever else ran beside an audit made it longer, and the first one the start of the pod: neither is its cost. One
    that failed or was not finished cost as long as the pod was asked, or as much as one that passed where that is known
    to be less: answers that are errors come soon, and what nobody waits for any more the pod gives up.
    """

    cost: float | None = None
    _begun: int = 0
    _finished: int = 0
    _paid_at: float = 0.0  # by the clock: when all audits are paid for
    _last: float = 0.0  # seconds that the last one is charged with
    _last_at: float = 0.0

    def charge(self, seconds: float, *, passed: bool, is_closed: bool, now: float) -> None:
        """For an audit that was finished, and asked the pod for so long. `is_closed`: the pod was meanwhile."""
        self._begun += 1
        self._finished += 1
        if self._finished > 1:
            if passed:
                self.cost = min(seconds, self.cost or seconds)
            self._owe(seconds, is_closed=is_closed, now=now)

    def charge_unfinished(self, seconds: float, *, is_closed: bool, now: float) -> None:
        """For an audit that was given up after it had asked the pod for so long."""
        self._begun += 1
        if self._begun > 1:
            self._owe(seconds, is_closed=is_closed, now=now)

    def rest(self, *, now: float, is_closed: bool = False, in_advance: bool = False) -> float:
        """Seconds until the pod may be audited again.

        `in_advance`: there is a cause to audit it before the last audit is paid for; those before have to be.
        """
        until = self._paid_at - AUDIT_SHARE * self._last if in_advance else self._paid_at
        if is_closed:
            until = min(until, self._last_at + CLOSED_AUDIT_SHARE * self._last)
        return max(0.0, until - now)

    def _owe(self, seconds: float, *, is_closed: bool, now: float) -> None:
        self._last, self._last_at = min(seconds, self.cost or seconds), now
        debt = AUDIT_SHARE * self._last
        # What it was asked while nobody waited for it does not keep it from being audited once it serves.
        self._paid_at = max(self._paid_at, now + debt) if is_closed else max(self._paid_at, now) + debt
