"""What Jina's routes answer, as types: the API's description is made of them."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from embedding_runtime.http.usage import Meta, Usage
from embedding_runtime.http.vector_encoding import Base64

# Signs, eight to a number.
Signs = list[Annotated[int, Field(ge=-128, le=255)]]

EmbeddingByType = TypedDict(  # noqa: UP013 - in a class the field would hide the type of its name
    "EmbeddingByType",
    {
        "float": NotRequired[list[float]],
        "base64": NotRequired[Base64],
        "binary": NotRequired[Signs],
        "ubinary": NotRequired[Signs],
    },
)


class Embedding(TypedDict):
    """`embedding` is an object where several types were asked for."""

    object: Literal["embedding"]
    index: Annotated[int, Field(ge=0, description="The number of the input.")]
    embedding: list[float] | Base64 | EmbeddingByType


class EmbeddingsReply(TypedDict):
    """A vector for each input, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class RankedDocument(TypedDict):
    index: Annotated[int, Field(ge=0, description="The document's number in the request.")]
    relevance_score: Annotated[float, Field(ge=0, le=1)]
    document: NotRequired[dict[str, Any]]


class RerankReply(TypedDict):
    """`results` come best first. `meta` is Cohere's, on paths without the prefix /jina only."""

    object: Literal["list"]
    results: list[RankedDocument]
    model: str
    usage: Usage
    meta: NotRequired[Meta]


class ErrorReply(TypedDict):
    detail: str
