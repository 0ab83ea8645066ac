"""Vectors as JSON holds them, encoded where that keeps the event loop free."""

import asyncio
import base64
from collections.abc import Callable, Sequence

import numpy as np

from embedding_runtime.core.jobs import Vectors
from embedding_runtime.http.messages import Response

# Values beyond which encoding an answer leaves the event loop (about a millisecond of work).
INLINE_VALUES = 65_536


def to_base64(vectors: Vectors) -> Sequence[str]:
    """Each row's float32 values, little-endian."""
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in np.ascontiguousarray(vectors, dtype="<f4")]


async def build_response(build: Callable[[], Response], *, values: int) -> Response:
    """What `build` returns; an answer of many values is built in a thread."""
    return build() if values <= INLINE_VALUES else await asyncio.to_thread(build)
