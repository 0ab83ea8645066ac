"""How many values a JSON body has, counted before they are made.

An empty list takes three bytes of a body and twenty times that as an object of Python, and what walks over millions of
them keeps the event loop from everybody else for seconds. No dialect needs so many.
"""

from dataclasses import dataclass

import numpy as np

# Lists and objects. A request has a few for each of its inputs at most.
MOST_CONTAINERS = 100_000
# Other values, token ids among them: eight times as many as tokens may wait in the queue.
MOST_VALUES = 2**21

_PIECE_BYTES = 2**20  # looked at together, which bounds the memory that takes
_QUOTE, _COMMA, _OPENING = ord('"'), ord(","), (ord("["), ord("{"))


@dataclass(frozen=True)
class Weight:
    """`containers`: lists and objects. `values`: commas, so a value more for each container."""

    containers: int
    values: int

    @property
    def is_too_much(self) -> bool:
        return self.containers > MOST_CONTAINERS or self.values > MOST_VALUES


def weigh(body: bytes) -> Weight:
    """Exactly where it matters; of a light body what its bytes allow at most, for texts may hold the same characters.

    Of a body that is no JSON the part before the first mistake is counted in full.
    """
    most = Weight(containers=body.count(b"[") + body.count(b"{"), values=body.count(b","))
    return _count_outside_texts(body) if most.is_too_much else most


def _count_outside_texts(body: bytes) -> Weight:
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # escapes are in texts alone
    found = np.frombuffer(bare, dtype=np.uint8)
    containers = values = 0
    within = False
    for start in range(0, len(found), _PIECE_BYTES):
        piece = found[start : start + _PIECE_BYTES]
        texts = np.logical_xor.accumulate(piece == _QUOTE) ^ within
        outside = ~texts
        containers += sum(int(np.count_nonzero((piece == sign) & outside)) for sign in _OPENING)
        values += int(np.count_nonzero((piece == _COMMA) & outside))
        within = bool(texts[-1])
    return Weight(containers=containers, values=values)
