"""What TEI's routes answer, as types: the API's description is made of them."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

# A vector for each text.
EmbedReply = list[list[float]]

# Vectors for each text: one for each of its tokens.
EmbedAllReply = list[list[list[float]]]


class SparseValue(TypedDict):
    index: Annotated[int, Field(ge=0, description="The token's id in the model's vocabulary.")]
    value: float


EmbedSparseReply = list[list[SparseValue]]


class Rank(TypedDict):
    index: Annotated[int, Field(ge=0, description="The text's number in the request.")]
    score: float
    text: NotRequired[str]


RerankReply = list[Rank]


class Prediction(TypedDict):
    label: str
    score: float


# The labels of one text, or of each of several.
PredictReply = list[Prediction] | list[list[Prediction]]


class HealthReply(TypedDict):
    status: Literal["ok"]


class ErrorReply(TypedDict):
    error: str
    error_type: Annotated[str, Field(description="The kind of error, in TEI's words.")]


class InfoReply(TypedDict):
    """What is served, and how sure that is."""

    models: Annotated[list[str], Field(description="The names under which the model is served.")]
    source: str | None
    revision: str
    space: Annotated[str, Field(description="The fingerprint of the vector space.")]
    architecture: str
    serving: dict[str, Any]
    evidence: list[dict[str, Any]]
    device: str
    dtype: str
    path: str
    loading: dict[str, Any]
