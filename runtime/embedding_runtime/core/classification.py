"""Texts and pairs of texts to scores of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from embedding_model.resolved import Activation, ResolvedModel
from embedding_runtime.core.activations import ACTIVATIONS
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.inputs import Input
from embedding_runtime.core.jobs import Output, Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.errors import NonFiniteOutput


@dataclass(frozen=True)
class Classes:
    """`scores` is float32 [inputs, labels]; `labels` are by column.

    `orders` are int64 [inputs, labels]: the labels' numbers, best first. They follow the logits: probabilities near 1
    are often equal in float32.
    """

    scores: Vectors
    orders: Sequence[Sequence[int]]
    labels: Sequence[str]
    measured: Measured


async def classify(
    engine: Engine,
    inputs: Sequence[Input],
    *,
    resolved: ResolvedModel,
    activation: Activation | None = None,
    truncate: bool = True,
    ahead: bool = False,
) -> Classes:
    """How much each label fits each of the inputs, in their order.

    `activation` None: the served one; Identity leaves the logits as they are. `truncate` and `ahead`: see
    Engine.compute. Raises RequestError, NonFiniteOutput among them.
    """
    chosen = activation or resolved.serving.activation
    if chosen is None:
        raise ValueError("a classifier has an activation")
    found = await engine.compute(inputs, ahead=ahead, truncate=truncate)
    logits = read_logits(found.outputs)
    return Classes(
        scores=activate(logits, activation=chosen),
        orders=np.argsort(-logits, axis=1, kind="stable").tolist(),
        labels=resolved.inspection.labels or [f"LABEL_{index}" for index in range(logits.shape[1])],
        measured=found.measured,
    )


def read_logits(outputs: Sequence[Output]) -> Vectors:
    """float32 [inputs, labels]. Raises NonFiniteOutput: NaN is no probability."""
    logits: Vectors = np.stack([output.dense for output in outputs if output.dense is not None])
    if not np.isfinite(logits).all():
        raise NonFiniteOutput(
            "The model answered with NaN or infinity for one of the inputs. Nothing wrong is returned instead; "
            "if it happens with half precision, serve with dtype float32."
        )
    return logits


def activate(logits: Vectors, *, activation: Activation) -> Vectors:
    """Logits to scores, float32 [inputs, labels] both."""
    return ACTIVATIONS[activation](logits)
