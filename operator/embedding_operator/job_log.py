"""Jobs that are not taken, or whose answers are not: in memory, of the replica that leads. Another leader asks anew."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Generic, TypeVar

from embedding_operator.observe.facts import Key, RefusedAnswer, UnmadeJob

Record = TypeVar("Record", RefusedAnswer, UnmadeJob)
MEMORY_SECONDS: Final = 2 * 3600.0  # longer than any pause before such a Job is tried again


class JobLog(Generic[Record]):
    """One record of each question of a model."""

    def __init__(self) -> None:
        self._records: dict[tuple[Key, str], Record] = {}

    def read(self, key: Key) -> Mapping[str, Record]:
        """By question."""
        return {question: record for (model, question), record in self._records.items() if model == key}

    def record(self, key: Key, *, question: str, record: Record) -> None:
        limit = record.at - timedelta(seconds=MEMORY_SECONDS)
        self._records = {place: known for place, known in self._records.items() if known.at >= limit}
        self._records[key, question] = record

    def forget(self, key: Key, *, question: str) -> None:
        self._records.pop((key, question), None)
