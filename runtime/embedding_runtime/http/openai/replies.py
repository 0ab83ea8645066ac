"""What OpenAI's routes answer, as types: the API's description is made of them."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from embedding_runtime.http.usage import Usage
from embedding_runtime.http.vector_encoding import Base64


class Embedding(TypedDict):
    object: Literal["embedding"]
    index: Annotated[int, Field(ge=0, description="The number of the input.")]
    embedding: list[float] | Base64


class EmbeddingsReply(TypedDict):
    """A vector for each input, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(TypedDict):
    id: Annotated[str, Field(description="What a request's `model` may be.")]
    object: Literal["model"]
    created: Annotated[int, Field(description="Unix time in seconds.")]
    owned_by: str


class ModelsReply(TypedDict):
    object: Literal["list"]
    data: list[Model]


class ErrorDetail(TypedDict):
    message: str
    type: Annotated[str, Field(description="The kind of error; it fits the status.")]
    param: Annotated[str | None, Field(description="The field that is wrong.")]
    code: str | None


class ErrorReply(TypedDict):
    error: ErrorDetail
