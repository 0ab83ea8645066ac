"""When pods of a model were deleted because they failed their audits: in memory, of the replica that leads.

Another leader starts with an empty log and may delete one pod sooner than the last one would have.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from embedding_operator.observe.facts import QUARANTINE_MEMORY_SECONDS, Key, QuarantineRecord, count_quarantine


class QuarantineLog:
    """`on_quarantine` is told of every deletion."""

    def __init__(self, *, on_quarantine: Callable[[], None] = lambda: None) -> None:
        self._records: dict[Key, QuarantineRecord] = {}
        self._on_quarantine = on_quarantine

    def read(self, key: Key) -> QuarantineRecord | None:
        return self._records.get(key)

    def record(self, key: Key, *, at: datetime) -> None:
        self._records[key] = count_quarantine(self._records.get(key), at=at)
        limit = at - timedelta(seconds=QUARANTINE_MEMORY_SECONDS)
        self._records = {known: record for known, record in self._records.items() if record.at >= limit}
        self._on_quarantine()
