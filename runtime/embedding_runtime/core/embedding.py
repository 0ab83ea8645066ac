"""Texts to embeddings: the model's pooled vectors, cut and normalised."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_model.resolved import Serving, Side
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Encoded, describe_texts
from embedding_runtime.core.jobs import Output, Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.core.vectors import finish

# Values (texts times dimensions) beyond which cutting and normalising leaves the event loop.
INLINE_VALUES = 131_072


@dataclass(frozen=True)
class Embeddings:
    """`vectors` is float32 [texts, dimensions]."""

    vectors: Vectors
    measured: Measured


async def embed(
    engine: Engine,
    texts: Sequence[str | Encoded],
    *,
    serving: Serving,
    prompt: str = "",
    dimensions: int | None = None,
    normalize: bool | None = None,
    truncate: bool = True,
    side: Side | None = None,
    max_tokens: int | None = None,
    ahead: bool = False,
) -> Embeddings:
    """Vectors of `texts`, in their order, with the text of `prompt` before each.

    `dimensions`, `normalize`, `side`, the one that is cut, and `max_tokens` of a text, None: as served; `truncate` and
    `ahead`: see Engine.compute. Raises RequestError.
    """
    inputs = describe_texts(texts, prompt=prompt, side=side, max_tokens=max_tokens)
    found = await engine.compute(inputs, ahead=ahead, truncate=truncate)

    def work() -> Vectors:
        return finish(_stack(found.outputs), serving=serving, dimensions=dimensions, normalize=normalize)

    small = len(texts) * (serving.model_dimensions or 0) <= INLINE_VALUES
    vectors = work() if small else await asyncio.to_thread(work)
    return Embeddings(vectors=vectors, measured=found.measured)


def _stack(outputs: Sequence[Output]) -> Vectors:
    return np.stack([output.dense for output in outputs if output.dense is not None])
