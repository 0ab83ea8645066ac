"""Answers of Jobs that are not used: in memory, of the replica that leads. Another leader asks once more."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from embedding_operator.observe.facts import Key, RefusedAnswer

MEMORY_SECONDS: Final = 2 * 3600.0  # longer than any pause before such a Job is made again


class RefusedAnswers:
    def __init__(self) -> None:
        self._answers: dict[tuple[Key, str], RefusedAnswer] = {}

    def read(self, key: Key) -> Mapping[str, RefusedAnswer]:
        """By question."""
        return {question: answer for (model, question), answer in self._answers.items() if model == key}

    def record(self, key: Key, *, question: str, answer: RefusedAnswer) -> None:
        limit = answer.at - timedelta(seconds=MEMORY_SECONDS)
        self._answers = {place: known for place, known in self._answers.items() if known.at >= limit}
        self._answers[key, question] = answer
