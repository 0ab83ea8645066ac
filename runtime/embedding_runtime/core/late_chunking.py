"""Late chunking: the pieces of one document, each with a vector that knows the others.

Günther et al. 2024, arXiv 2409.04701: all pieces are read as one text, and the vectors of each piece's own tokens are
averaged. It is for models that average the vectors of tokens anyway.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from embedding_model.resolved import Pooling, ResolvedModel
from embedding_runtime.core.embedding import Embeddings
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Chunks
from embedding_runtime.core.jobs import Tokens, Vectors
from embedding_runtime.core.vectors import finish
from embedding_runtime.errors import InvalidRequest


async def embed_chunks(
    engine: Engine,
    texts: Sequence[str],
    *,
    resolved: ResolvedModel,
    prompt: str = "",
    dimensions: int | None = None,
    normalize: bool | None = None,
    ahead: bool = False,
) -> Embeddings:
    """Vectors of the pieces `texts` of one document, in their order, with the text of `prompt` before the first.

    `dimensions` and `normalize` None: as served; `ahead`: see Engine.compute. Raises RequestError: InvalidRequest for a
    model whose vectors are not the mean of its tokens' vectors, and for pieces that are too long together.
    """
    _require_mean(resolved)
    found = await engine.compute([Chunks(tuple(texts), prompt=prompt)], ahead=ahead)
    [tokens], [output] = found.tokens, found.outputs
    vectors = output.token_vectors
    assert vectors is not None, "they are all that was asked for"

    def work() -> Vectors:
        pooled = average_pieces(vectors, tokens=tokens, include_prompt=resolved.serving.include_prompt)
        return finish(pooled, serving=resolved.serving, dimensions=dimensions, normalize=normalize)

    return Embeddings(vectors=await asyncio.to_thread(work), measured=replace(found.measured, inputs=len(texts)))


def average_pieces(vectors: Vectors, *, tokens: Tokens, include_prompt: bool) -> Vectors:
    """The mean over the tokens of each piece, float32 [pieces, width], of the tokens' vectors, float32 [tokens, width].

    `include_prompt` False: the prompt before the first piece does not count. Raises InvalidRequest where that leaves
    nothing of it.
    """
    left_out = 0 if include_prompt else tokens.prompt_length
    if left_out >= tokens.spans[0][1]:
        raise InvalidRequest("Input 0 holds no token for this model; leave it out.", param="input")
    return np.stack([vectors[max(start, left_out) : end].mean(axis=0) for start, end in tokens.spans])


def _require_mean(resolved: ResolvedModel) -> None:
    inspection, poolings = resolved.inspection, resolved.serving.poolings
    if poolings == (Pooling.MEAN,) and not inspection.modules and not inspection.token_heads:
        return
    own = " and ".join(poolings) + (" with further layers behind it" if inspection.modules else "")
    raise InvalidRequest(
        "late_chunking averages the vectors of each input's tokens, which only models with mean pooling alone are made "
        f"for; this one's pooling is {own}. Leave late_chunking out.",
        param="late_chunking",
    )
