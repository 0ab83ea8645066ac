"""`spec.reranking`: what defines the scores of a reranker."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from embedding_operator.api.fields import MAX_PROMPT_TEXT, SpecModel


class ScoreActivation(StrEnum):
    """AUTO: what the model's files say. The others are those of `embedding_model.resolved.Activation` that make a score
    of one logit."""

    AUTO = "Auto"
    IDENTITY = "Identity"
    SIGMOID = "Sigmoid"


class RerankingSpec(SpecModel):
    """What defines the scores of a reranker. Anything unset comes from the model's own files."""

    instruction: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_PROMPT_TEXT,
            description=(
                "What the model is told to look for, in place of the instruction that its template has by itself. Only "
                "for rerankers that are language models, such as Qwen3-Reranker."
            ),
        ),
    ] = None
    activation: Annotated[
        ScoreActivation,
        Field(
            description=(
                "What turns a logit into a score, for golden cases and the fingerprint. Auto: as the model's files "
                "say. Sigmoid: scores from 0 to 1. Identity: the logit itself. The order of documents is the same. "
                "Clients get the sigmoid either way, and the logit where they ask for raw_scores."
            )
        ),
    ] = ScoreActivation.AUTO
