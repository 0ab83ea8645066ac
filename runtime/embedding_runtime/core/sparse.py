"""Texts to sparse vectors over the vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Part, SparseVector
from embedding_runtime.errors import NonFiniteOutput


@dataclass(frozen=True)
class SparseEmbeddings:
    """One vector for each text; `tokens` counts special tokens and the prompt, after truncation."""

    vectors: Sequence[SparseVector]
    tokens: int
    truncated: int


async def embed_sparse(
    engine: Engine,
    texts: Sequence[str],
    *,
    prompt: str = "",
    by_table: bool = False,
    truncate: bool = True,
    ahead: bool = False,
) -> SparseEmbeddings:
    """Sparse vectors of `texts`, in their order, with the text of `prompt` before each.

    `by_table`: queries of an inference-free model, whose tokens a table weights. `truncate` and `ahead`: see
    Engine.compute. Raises RequestError, NonFiniteOutput among them.
    """
    wants = frozenset({Part.QUERY_WEIGHTS if by_table else Part.SPARSE})
    found = await engine.compute(
        [Text(text, prompt=prompt, wants=wants) for text in texts], ahead=ahead, truncate=truncate
    )
    vectors = [output.sparse for output in found.outputs if output.sparse is not None]
    if not all(np.isfinite(vector.values).all() for vector in vectors):
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    return SparseEmbeddings(vectors=vectors, tokens=found.tokens, truncated=found.truncated)
