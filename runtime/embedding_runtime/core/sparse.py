"""Texts to sparse vectors over the vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_model.resolved import Side
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import describe_texts
from embedding_runtime.core.jobs import Part, SparseVector
from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import InvalidRequest, NonFiniteOutput

# Weights of one answer: 128 MiB as they are, some 600 MB as JSON. SPLADE gives a text some hundred; a model that was
# not trained to be sparse gives it as many as the vocabulary has tokens.
MOST_WEIGHTS = 2**24


@dataclass(frozen=True)
class SparseEmbeddings:
    """One vector for each text."""

    vectors: Sequence[SparseVector]
    measured: Measured


async def embed_sparse(
    engine: Engine,
    texts: Sequence[str],
    *,
    prompt: str = "",
    by_table: bool = False,
    truncate: bool = True,
    side: Side | None = None,
    ahead: bool = False,
) -> SparseEmbeddings:
    """Sparse vectors of `texts`, in their order, with the text of `prompt` before each.

    `by_table`: queries of an inference-free model, whose tokens a table weights. `side`: see Text; `truncate` and
    `ahead`: see Engine.compute. Raises RequestError: InvalidRequest for more than MOST_WEIGHTS, NonFiniteOutput.
    """
    wants = frozenset({Part.QUERY_WEIGHTS if by_table else Part.SPARSE})
    found = await engine.compute(
        describe_texts(texts, prompt=prompt, wants=wants, side=side), ahead=ahead, truncate=truncate
    )
    vectors = [output.sparse for output in found.outputs if output.sparse is not None]
    if not all(np.isfinite(vector.values).all() for vector in vectors):
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    weights = sum(len(vector.indices) for vector in vectors)
    if weights > MOST_WEIGHTS:
        raise InvalidRequest(
            f"The sparse vectors have {weights} weights together; at most {MOST_WEIGHTS} are answered in one request. "
            "Send fewer texts.",
            param="inputs",
        )
    return SparseEmbeddings(vectors=vectors, measured=found.measured)
