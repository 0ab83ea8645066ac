"""`spec.embedding`: what defines the vector space."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from embedding_operator.api.fields import MAX_DIMENSIONS, MAX_POSITIONS, MAX_PROMPT_TEXT, PromptName, SpecModel
from embedding_operator.api.rules import ListMap, Rule, with_rules


class PoolingMode(StrEnum):
    """AUTO: what the model's files say. The others are `embedding_model.resolved.Pooling`."""

    AUTO = "Auto"
    CLS = "Cls"
    MEAN = "Mean"
    MAX = "Max"
    MEAN_SQRT_LENGTH = "MeanSqrtLength"
    WEIGHTED_MEAN = "WeightedMean"
    LAST_TOKEN = "LastToken"  # noqa: S105 - a pooling mode, not a secret


class Normalization(StrEnum):
    """AUTO: what the model's files say."""

    AUTO = "Auto"
    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Truncation(StrEnum):
    """AUTO: what the model's files say. The others are `embedding_model.resolved.Side`."""

    AUTO = "Auto"
    RIGHT = "Right"
    LEFT = "Left"


class PromptSpec(SpecModel):
    """A text put before the input."""

    name: Annotated[PromptName, Field(description="Name by which requests, served names and goldens choose it.")]
    text: Annotated[
        str,
        Field(
            max_length=MAX_PROMPT_TEXT,
            description="Text put before the input, exactly as written: mind the trailing space or colon.",
        ),
    ]


class EmbeddingSpec(SpecModel):
    """What defines the vector space. Anything unset comes from the model's own files."""

    model_config = with_rules(
        Rule(
            "!has(self.defaultPrompt) || !has(self.prompts) || self.prompts.exists(p, p.name == self.defaultPrompt)",
            "defaultPrompt must name one of the prompts: add a prompt of that name, or change defaultPrompt",
        )
    )

    dimensions: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_DIMENSIONS,
            description=(
                "Values per vector, from 1 to the model's own. Fewer than the model's own are cut from the front and "
                "normalised again (Matryoshka). Unset: the model's own."
            ),
        ),
    ] = None
    prompts: Annotated[
        tuple[PromptSpec, ...] | None,
        Field(
            max_length=64,
            description="Prompts by name, instead of the model's own. Unset: the model's own. Empty: none.",
        ),
        ListMap(),
    ] = None
    default_prompt: Annotated[
        PromptName | None,
        Field(description="Name of the prompt for requests that choose none. Unset: the model's own default, if any."),
    ] = None
    normalize: Annotated[
        Normalization,
        Field(
            description=(
                "Whether vectors are scaled to length 1. Auto: as the model's files say. Enabled or Disabled overrides."
            )
        ),
    ] = Normalization.AUTO
    pooling: Annotated[
        PoolingMode,
        Field(
            description=(
                "How token vectors become one vector. Auto: as the model's files say. Another value overrides them, "
                "and the goldens prove it."
            )
        ),
    ] = PoolingMode.AUTO
    max_input_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_POSITIONS,
            description=(
                "Longest input in tokens, special tokens included; what is longer is cut. At most the positions that "
                "the weights have. Unset: as the model's files say."
            ),
        ),
    ] = None
    truncation: Annotated[
        Truncation,
        Field(
            description=(
                "On which side an input that is too long is cut. Auto: as the model's files say. Right or Left "
                "overrides."
            )
        ),
    ] = Truncation.AUTO
