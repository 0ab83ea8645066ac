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
_QUOTE = ord('"')
_REST = bytes(set(range(256)) - set(b'"[{,'))  # what neither counts nor begins or ends a text


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
    return count_outside_texts(body) if most.is_too_much else most


def count_outside_texts(body: bytes, *, piece_bytes: int = _PIECE_BYTES) -> Weight:
    """Exactly; of a body that is too heavy the part that shows it."""
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body  # escapes are in texts alone
    weight = Weight(containers=0, values=0)
    is_within = False
    for start in range(0, len(bare), piece_bytes):
        signs = np.frombuffer(bare[start : start + piece_bytes].translate(None, _REST), dtype=np.uint8)
        if not len(signs):
            continue
        within = np.logical_xor.accumulate(signs == _QUOTE) ^ is_within
        outside = signs[~within].tobytes()
        weight = Weight(
            containers=weight.containers + outside.count(b"[") + outside.count(b"{"),
            values=weight.values + outside.count(b","),
        )
        if weight.is_too_much:
            break
        is_within = bool(within[-1])
    return weight
