"""What Cohere's routes answer, as types: the API's description is made of them."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from embedding_runtime.http.usage import Meta, Usage
from embedding_runtime.http.vector_encoding import Base64

Model = Annotated[str, Field(description="The served name. On paths without the prefix /cohere only, as `usage` is.")]


EmbeddingsByType = TypedDict(  # noqa: UP013 - in a class the field would hide the type of its name
    "EmbeddingsByType",
    {
        "float": NotRequired[list[list[float]]],
        "int8": NotRequired[list[list[Annotated[int, Field(ge=-128, le=127)]]]],
        "uint8": NotRequired[list[list[Annotated[int, Field(ge=0, le=255)]]]],
        "binary": NotRequired[list[list[Annotated[int, Field(ge=-128, le=127)]]]],
        "ubinary": NotRequired[list[list[Annotated[int, Field(ge=0, le=255)]]]],
        "base64": NotRequired[list[Base64]],
    },
)


class EmbedReply(TypedDict):
    """`texts` are those of the request, if it sent texts."""

    id: str
    embeddings: list[list[float]] | EmbeddingsByType
    texts: NotRequired[list[str]]
    meta: Meta
    response_type: Literal["embeddings_floats", "embeddings_by_type"]
    model: NotRequired[Model]
    usage: NotRequired[Usage]


class RankedDocument(TypedDict):
    index: Annotated[int, Field(ge=0, description="The document's number in the request.")]
    relevance_score: float
    document: NotRequired[dict[str, Any]]


class RerankReply(TypedDict):
    """`results` come best first."""

    id: str
    results: list[RankedDocument]
    meta: Meta
    model: NotRequired[Model]
    usage: NotRequired[Usage]


class ErrorReply(TypedDict):
    id: str
    message: str
