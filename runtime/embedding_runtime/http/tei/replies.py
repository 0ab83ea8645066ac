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


# The similarity of each sentence, in their order.
SimilarityReply = list[Annotated[float, Field(ge=-1, le=1)]]


class Token(TypedDict):
    """A token of a text. Special tokens stand nowhere in it."""

    id: Annotated[int, Field(ge=0)]
    text: str
    special: bool
    start: Annotated[int | None, Field(description="The number of its first character.")]
    stop: Annotated[int | None, Field(description="The number of the character behind its last.")]


TokenizeReply = list[list[Token]]

# A text for each list of ids.
DecodeReply = list[str]

RootReply = EmbedReply | SimilarityReply | RerankReply | PredictReply | EmbedSparseReply


class HealthReply(TypedDict):
    status: Literal["ok"]


class ErrorReply(TypedDict):
    error: str
    error_type: Annotated[str, Field(description="The kind of error, in TEI's words.")]


class InfoReply(TypedDict):
    """What is served, in TEI's words and in ours, and how sure that is."""

    model_id: str
    model_sha: Annotated[str | None, Field(description="The commit, where the model comes from a hub.")]
    model_dtype: str
    model_type: Annotated[dict[str, dict[str, Any]], Field(description="One key: embedding, reranker or classifier.")]
    max_concurrent_requests: Annotated[int, Field(description="As many of the smallest as the queue holds.")]
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: None
    docker_label: None

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
