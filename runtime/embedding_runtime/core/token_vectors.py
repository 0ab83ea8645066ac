"""Texts to a vector for each token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_model.resolved import ResolvedModel, Side, TokenHeadKind
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Encoded, describe_texts
from embedding_runtime.core.jobs import Part, Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import NonFiniteOutput

# Values of one answer: 64 MiB as they are, some 200 MB as JSON. 16384 tokens of 1024 dimensions; 2048 long texts, which
# are as many as a request may hold, would be two hundred times that.
MOST_VALUES = 2**24


@dataclass(frozen=True)
class TokenEmbeddings:
    """`vectors`: float32 [tokens of the text, width] for each text."""

    vectors: Sequence[Vectors]
    measured: Measured


async def embed_tokens(
    engine: Engine,
    texts: Sequence[str | Encoded],
    *,
    resolved: ResolvedModel,
    prompt: str = "",
    truncate: bool = True,
    side: Side | None = None,
    ahead: bool = False,
) -> TokenEmbeddings:
    """The model's vectors of each token of `texts`, in their order, with the text of `prompt` before each.

    `side`: see Text; `truncate` and `ahead`: see Engine.compute. Raises RequestError: InvalidRequest for more than
    MOST_VALUES, NonFiniteOutput.
    """
    wants = frozenset({Part.TOKEN_VECTORS})
    found = await engine.compute(
        describe_texts(texts, prompt=prompt, wants=wants, side=side),
        ahead=ahead,
        truncate=truncate,
        most_tokens=MOST_VALUES // _bound_width(resolved),
    )
    vectors = [output.token_vectors for output in found.outputs if output.token_vectors is not None]
    if not all(np.isfinite(rows).all() for rows in vectors):
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    return TokenEmbeddings(vectors=vectors, measured=found.measured)


def _bound_width(resolved: ResolvedModel) -> int:
    """As many dimensions as a token's vector has, or more: a text's vector may be several of them side by side."""
    inspection = resolved.inspection
    for head in inspection.token_heads:
        if head.kind is TokenHeadKind.MULTI_VECTOR:
            return head.output_dimensions
    own = inspection.modules[0].input_dimensions if inspection.modules else resolved.serving.model_dimensions
    return own or 1
