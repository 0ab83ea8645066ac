"""A query and documents to scores: the model's logits through its activation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_model.rerank_templates import RERANK_TEMPLATES
from embedding_model.resolved import Activation, ResolvedModel, Scoring, Side
from embedding_runtime.core.activations import ACTIVATIONS
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Pair
from embedding_runtime.core.jobs import Output, Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import InvalidRequest, NonFiniteOutput

MAX_INSTRUCTION = 8192  # characters, as in spec.reranking; it is tokenised with every document


@dataclass(frozen=True)
class Scores:
    """`scores` is float32 [documents], in their order.

    `order` holds the documents' numbers, best first. It follows the logits: scores near 1 are often equal in float32.
    """

    scores: Vectors
    order: Sequence[int]
    measured: Measured


async def rerank(
    engine: Engine,
    query: str,
    documents: Sequence[str],
    *,
    resolved: ResolvedModel,
    raw: bool = False,
    instruction: str | None = None,
    truncate: bool = True,
    side: Side | None = None,
    max_document_tokens: int | None = None,
    ahead: bool = False,
) -> Scores:
    """How well each document answers the query. `raw`: logits, before the activation.

    `instruction` None: the served one, else the template's own. `side` and `max_document_tokens`: see Pair;
    `truncate` and `ahead`: see Engine.compute. Raises RequestError: InvalidRequest for an instruction where the model
    has no place for one, NonFiniteOutput.
    """
    if instruction is not None:
        _check_instruction(instruction, scoring=resolved.inspection.scoring)
    pairs = [
        Pair(query, document, instruction=instruction, side=side, max_document_tokens=max_document_tokens)
        for document in documents
    ]
    found = await engine.compute(pairs, ahead=ahead, truncate=truncate)
    activation = resolved.serving.activation
    if activation is None:
        raise ValueError("a reranker has an activation")
    logits = read_logits(found.outputs)
    return Scores(
        scores=logits if raw else activate(logits, activation=activation),
        order=np.argsort(-logits, kind="stable").tolist(),
        measured=found.measured,
    )


def find_instruction(resolved: ResolvedModel) -> str | None:
    """The instruction that is in force where a request brings none; also where it is the template's own."""
    scoring = resolved.inspection.scoring
    own = RERANK_TEMPLATES[scoring.template].instruction if scoring is not None and scoring.template else None
    return own if resolved.serving.instruction is None else resolved.serving.instruction


def find_other_instruction(resolved: ResolvedModel, *, asked: str | None) -> str | None:
    """What a request asks for where that is another instruction than the one in force, an empty one among them; None:
    its scores are those that are served.
    """
    return None if asked is None or asked == (find_instruction(resolved) or "") else asked


def _check_instruction(instruction: str, *, scoring: Scoring | None) -> None:
    if scoring is None or scoring.template is None:
        raise InvalidRequest(
            "instruction: this reranker takes a query and a document and has no place for an instruction; leave it "
            "out.",
            param="instruction",
        )
    if len(instruction) > MAX_INSTRUCTION:
        raise InvalidRequest(
            f"instruction: at most {MAX_INSTRUCTION} characters expected, {len(instruction)} came.", param="instruction"
        )


def activate(logits: Vectors, *, activation: Activation) -> Vectors:
    """Logits to scores, float32 [documents] both.

    A model with two labels gives the logit of "relevant" minus that of the other one (architectures/cross_encoder.py):
    its sigmoid is the softmax over the two.
    """
    return ACTIVATIONS[Activation.SIGMOID if activation is Activation.SOFTMAX else activation](logits)


def read_logits(outputs: Sequence[Output]) -> Vectors:
    """float32 [documents], one logit each. Raises NonFiniteOutput: a NaN has no place in an order."""
    logits: Vectors = np.array([output.dense[0] for output in outputs if output.dense is not None], dtype=np.float32)
    if not np.isfinite(logits).all():
        raise NonFiniteOutput("The model answered NaN or infinity; its weights or its dtype are broken.")
    return logits
