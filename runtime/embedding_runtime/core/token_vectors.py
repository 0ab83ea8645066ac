"""Texts to a vector for each token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.jobs import Part, Vectors
from embedding_runtime.errors import NonFiniteOutput


@dataclass(frozen=True)
class TokenEmbeddings:
    """`vectors`: float32 [tokens of the text, width] for each; `tokens` counts special tokens, after truncation."""

    vectors: Sequence[Vectors]
    tokens: int
    truncated: int


async def embed_tokens(
    engine: Engine, texts: Sequence[str], *, prompt: str = "", truncate: bool = True, ahead: bool = False
) -> TokenEmbeddings:
    """The model's vectors of each token of `texts`, in their order, with the text of `prompt` before each.

    `truncate` and `ahead`: see Engine.compute. Raises RequestError, NonFiniteOutput among them.
    """
    wants = frozenset({Part.TOKEN_VECTORS})
    found = await engine.compute(
        [Text(text, prompt=prompt, wants=wants) for text in texts], ahead=ahead, truncate=truncate
    )
    vectors = [output.token_vectors for output in found.outputs if output.token_vectors is not None]
    if not all(np.isfinite(rows).all() for rows in vectors):
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    return TokenEmbeddings(vectors=vectors, tokens=found.tokens, truncated=found.truncated)
