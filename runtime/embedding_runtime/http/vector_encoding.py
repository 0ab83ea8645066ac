"""Vectors as JSON holds them, encoded where that keeps the event loop free."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from embedding_runtime.core.jobs import Vectors
from embedding_runtime.http.messages import Response

# Values that are encoded at once on the event loop: about a millisecond of work.
INLINE_VALUES = 65_536

# What `to_base64` gives, for the API's description.
Base64 = Annotated[str, Field(description="The vector's values as float32, little-endian, in base64.")]


def to_base64(vectors: Vectors) -> Sequence[str]:
    """Each row's float32 values, little-endian."""
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in np.ascontiguousarray(vectors, dtype="<f4")]


async def build_response(build: Callable[[], Response], *, values: int, inline: int = INLINE_VALUES) -> Response:
    """What `build` returns; an answer of more values than `inline` is built in a thread."""
    return build() if values <= inline else await asyncio.to_thread(build)
