"""What reconciles see of fetches under way: it changes at most every ten seconds for a model, however many pods it has.

Every change is a write of the model's status.
"""

from dataclasses import dataclass, field
from typing import Final

from embedding_model.ports import Progress
from embedding_operator.clock import Clock
from embedding_operator.observe.facts import Key

HOLD_SECONDS: Final = 10.0


@dataclass
class _Board:
    posted: dict[str, Progress] = field(default_factory=dict)  # by pod uid
    shown: dict[str, Progress] = field(default_factory=dict)
    shown_at: float = float("-inf")


class ProgressBoard:
    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._boards: dict[Key, _Board] = {}

    def post(self, key: Key, uid: str, *, progress: Progress) -> bool:
        """Whether reconciles see something new now. What is held back is shown with a later post."""
        board = self._boards.setdefault(key, _Board())
        board.posted[uid] = progress
        now = self._clock.monotonic()
        if now - board.shown_at < HOLD_SECONDS or board.posted == board.shown:
            return False
        board.shown, board.shown_at = dict(board.posted), now
        return True

    def read(self, key: Key, uid: str) -> Progress | None:
        board = self._boards.get(key)
        return board.shown.get(uid) if board else None

    def drop(self, key: Key, uid: str) -> None:
        """The pod is gone."""
        if board := self._boards.get(key):
            board.posted.pop(uid, None)
            board.shown.pop(uid, None)

    def forget(self, key: Key) -> None:
        self._boards.pop(key, None)
