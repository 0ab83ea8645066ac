"""How often a field of a child is taken back from somebody who updates it.

A hand updates once, and is undone at once. What updates again after that, such as an autoscaler that was pointed at the
Deployment, would do so for ever: it is left alone for ever longer pauses, and reported meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from embedding_operator.api import names
from embedding_operator.kube.gateway import HeldField, Object
from embedding_operator.observe.facts import Claim, Facts, RestorationRecord
from embedding_operator.observe.snapshot import Snapshot

# Taken back so often without a pause: a hand may try twice. An autoscaler comes back every 15 s.
FREE_RESTORATIONS: Final = 2
FIRST_PAUSE_SECONDS: Final = 60.0
# Each time scales what somebody else wants at another size, so it is rare in the end. A changed spec begins anew.
MAX_PAUSE_SECONDS: Final = 6 * 3600.0
# A field that was left in peace for so long, or for twice the pause, is not contested.
MEMORY_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Restorations:
    """Of one reconcile. `asked`: what the user asks for, in a form that another wish does not have."""

    facts: Facts
    asked: str
    now: datetime

    @classmethod
    def of(cls, snapshot: Snapshot, *, facts: Facts) -> "Restorations":
        metadata = snapshot.model["metadata"]
        requested_at = (metadata.get("annotations") or {}).get(names.ANNOTATION_REQUESTED_AT, "")
        return cls(facts=facts, asked=f"{metadata.get('generation', 0)}@{requested_at}", now=snapshot.now)

    def list_contested(self, held: Sequence[HeldField], *, child: Object) -> Sequence[HeldField]:
        """Those that are not to be taken back now."""
        return [item for item in held if self.count_seconds([item], child=child) > 0]

    def count_seconds(self, held: Sequence[HeldField], *, child: Object) -> float:
        """Until the first of them may be taken back."""
        ends = [_end_pause(record) for item in held if (record := self._read(item, child=child))]
        return max(0.0, (min(ends, default=self.now) - self.now).total_seconds())

    def record(self, held: Sequence[HeldField], *, child: Object) -> None:
        """These have been taken back."""
        for item in held:
            before = self._read(item, child=child)
            count = before.count + 1 if before else 1
            record = RestorationRecord(at=self.now, count=count, asked=self.asked)
            self.facts.record_restoration(_claim(item, child=child), record=record)

    def _read(self, item: HeldField, *, child: Object) -> RestorationRecord | None:
        record = self.facts.restoration(_claim(item, child=child))
        if record is None or record.asked != self.asked:
            return None
        return record if self.now < _end_memory(record) else None


def _claim(item: HeldField, *, child: Object) -> Claim:
    return Claim(child=child["metadata"]["uid"], manager=item.manager, field=item.field)


def _end_pause(record: RestorationRecord) -> datetime:
    return record.at + timedelta(seconds=_pause(record))


def _end_memory(record: RestorationRecord) -> datetime:
    return record.at + timedelta(seconds=max(MEMORY_SECONDS, 2 * _pause(record)))


def _pause(record: RestorationRecord) -> float:
    if record.count < FREE_RESTORATIONS:
        return 0.0
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(record.count - FREE_RESTORATIONS, 30), MAX_PAUSE_SECONDS)


class RestorationLog:
    """The records of a running operator: in memory, of the replica that leads. Another one begins anew."""

    def __init__(self) -> None:
        self._records: dict[Claim, RestorationRecord] = {}

    def read(self, claim: Claim) -> RestorationRecord | None:
        return self._records.get(claim)

    def record(self, claim: Claim, *, record: RestorationRecord) -> None:
        self._records = {known: old for known, old in self._records.items() if record.at < _end_memory(old)}
        self._records[claim] = record
