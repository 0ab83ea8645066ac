"""Cohere's POST /v1/embed and /v2/embed: texts in, their vectors in one or several types of number out."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from embedding_model.resolved import Side, Task
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.output_types import OutputType, convert, require_types
from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.errors import EmptyInput, InvalidRequest
from embedding_runtime.http.cohere.meta import Priority, add_identity, choose_name
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import Dimensions, ModelName, Normalize, OptionalModelName
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.usage import Version, describe_embedding
from embedding_runtime.http.validation import Count, RequestForm, validate
from embedding_runtime.http.vector_encoding import build_response, to_base64


class EmbeddingType(StrEnum):
    FLOAT = "float"
    INT8 = "int8"
    UINT8 = "uint8"
    BINARY = "binary"
    UBINARY = "ubinary"
    BASE64 = "base64"  # of little-endian float32: the numbers of float


class Truncate(StrEnum):
    NONE = "NONE"  # a text that is too long is refused
    START = "START"  # its start is cut off
    END = "END"  # its end is cut off


class Purpose(StrEnum):
    """Cohere's input_type: what the texts are for."""

    SEARCH_DOCUMENT = "search_document"
    SEARCH_QUERY = "search_query"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"
    IMAGE = "image"


class TextContent(RequestForm):
    type: Annotated[Literal["text"], Field(description="The kind of this part.")]
    text: Annotated[str, Field(description="The text of this part.")]


class ContentInput(RequestForm):
    """One input of several parts of text, which are read as one text with a line break between them."""

    content: Annotated[list[TextContent], Field(min_length=1, description="The parts, in their order.")]


# A type that is named twice is answered once; no request needs to name many.
_MOST_TYPES = 16


class EmbedV1Request(RequestForm):
    """Unknown fields are ignored."""

    model: OptionalModelName = None
    texts: Annotated[list[str] | None, Field(description="At least one.")] = None
    images: Annotated[list[Any] | None, Field(max_length=0, description="None: the model reads text alone.")] = None
    input_type: Annotated[
        Purpose | None,
        Field(
            description="What the texts are for, and so which of the model's prompts they get: search_query and "
            "search_document that for queries or documents, classification and clustering that of this name, or none; "
            "absent: the served name's."
        ),
    ] = None
    embedding_types: Annotated[
        list[EmbeddingType] | None,
        Field(
            min_length=1,
            max_length=_MOST_TYPES,
            description="Types of number; absent: float, in version 1 as a plain list.",
        ),
    ] = None
    truncate: Annotated[
        Truncate | None,
        Field(description="From which side a text that is too long is cut, NONE to refuse it; absent: as served."),
    ] = None
    normalize: Normalize = None


class EmbedV2Request(EmbedV1Request):
    """Requests are answered in the order in which they come."""

    model: ModelName
    inputs: Annotated[list[ContentInput] | None, Field(description="In place of `texts`: texts of several parts.")] = (
        None
    )
    embedding_types: list[EmbeddingType] = Field(
        default=[EmbeddingType.FLOAT], min_length=1, max_length=_MOST_TYPES, description="Types of number."
    )
    output_dimension: Dimensions = None
    max_tokens: Annotated[
        Count | None,
        Field(description="What is longer is cut as `truncate` says; special tokens and the prompt count."),
    ] = None
    priority: Priority = 0


async def embed_v1(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    check_number(call, param="texts")
    asked = validate(_refuse_images(call.document), form=EmbedV1Request)
    return await _embed(call, asked=asked, texts=asked.texts or (), version=Version.V1)


async def embed_v2(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    check_number(call, param="texts")
    check_number(call, param="inputs")
    asked = validate(_refuse_images(call.document), form=EmbedV2Request)
    if asked.texts is not None and asked.inputs is not None:
        raise InvalidRequest("inputs: they take the place of texts; send one of the two.", param="inputs")
    texts = asked.texts if asked.inputs is None else [_join(entry) for entry in asked.inputs]
    return await _embed(
        call,
        asked=asked,
        texts=texts or (),
        version=Version.V2,
        dimensions=asked.output_dimension,
        max_tokens=asked.max_tokens,
    )


async def _embed(
    call: Call,
    *,
    asked: EmbedV1Request,
    texts: Sequence[str],
    version: Version,
    dimensions: int | None = None,
    max_tokens: int | None = None,
) -> Response:
    if not texts:
        raise EmptyInput("texts: must hold at least one text.", param="texts")
    name = choose_name(call, name=asked.model)
    serving = call.loaded.model.serving
    prompt = _choose_prompt(call, name=name, purpose=asked.input_type)
    types = tuple(dict.fromkeys(asked.embedding_types or (EmbeddingType.FLOAT,)))
    outputs = {_OUTPUTS[kind] for kind in types}
    require_types(outputs, serving=serving, dimensions=dimensions, normalize=asked.normalize)
    suffix = write_suffix(
        serving,
        dimensions=dimensions,
        normalize=asked.normalize,
        prompt=prompt,
        outputs=outputs,
        dimensions_field="output_dimension",
    )
    call.check_pin(suffix)
    found = await embed(
        call.loaded.engine,
        texts,
        serving=serving,
        prompt=prompt,
        dimensions=dimensions,
        normalize=asked.normalize,
        truncate=asked.truncate is not Truncate.NONE,
        side=None if asked.truncate is None else _SIDES.get(asked.truncate),
        max_tokens=max_tokens,
        ahead=call.is_golden_case,
    )

    def encode() -> Response:
        answer: dict[str, Any]
        if asked.embedding_types is None:
            answer = {"response_type": "embeddings_floats", "embeddings": found.vectors}
        else:
            answer = {"response_type": "embeddings_by_type", "embeddings": _convert(found, types=types)}
        if asked.texts is not None:
            answer["texts"] = asked.texts
        answer["meta"] = describe_embedding(found.measured, version=version)
        document = add_identity(answer, call=call, name=name, measured=found.measured)
        return json_response(document, space_suffix=suffix, model=name, measured=found.measured)

    return await build_response(encode, values=found.vectors.size * len(types))


_OUTPUTS: Mapping[EmbeddingType, OutputType] = {
    EmbeddingType.FLOAT: OutputType.FLOAT,
    EmbeddingType.INT8: OutputType.INT8,
    EmbeddingType.UINT8: OutputType.UINT8,
    EmbeddingType.BINARY: OutputType.BINARY,
    EmbeddingType.UBINARY: OutputType.UBINARY,
    EmbeddingType.BASE64: OutputType.FLOAT,
}

_SIDES: Mapping[Truncate, Side] = {Truncate.START: Side.LEFT, Truncate.END: Side.RIGHT}

_INPUT_TYPES: Mapping[Purpose, InputType] = {
    Purpose.SEARCH_DOCUMENT: InputType.DOCUMENT,
    Purpose.SEARCH_QUERY: InputType.QUERY,
}


def _choose_prompt(call: Call, *, name: str, purpose: Purpose | None) -> str:
    serving = call.loaded.model.serving
    if purpose is None or call.is_golden_case:
        return call.choose_prompt(name)
    if purpose in _INPUT_TYPES:
        return choose_prompt(AskedPrompt(input_type=_INPUT_TYPES[purpose]), serving=serving)
    named = serving.prompt(purpose.value)
    return named.text if named else ""


def _convert(found: Embeddings, *, types: Sequence[EmbeddingType]) -> Mapping[str, Any]:
    return {
        kind.value: to_base64(found.vectors)
        if kind is EmbeddingType.BASE64
        else convert(found.vectors, output=_OUTPUTS[kind])
        for kind in types
    }


def _join(entry: ContentInput) -> str:
    return "\n".join(part.text for part in entry.content)


def _refuse_images(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises InvalidRequest where the request is about images, in whichever of the API's ways."""
    refusal = "this model reads text alone; send texts."
    if document.get("images"):
        raise InvalidRequest(f"images: {refusal}", param="images")
    if document.get("input_type") == Purpose.IMAGE:
        raise InvalidRequest(f"input_type: image is for images, and {refusal}", param="input_type")
    inputs = document.get("inputs")
    for entry in inputs if isinstance(inputs, list) else ():
        parts = entry.get("content") if isinstance(entry, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("type") == "image_url":
                raise InvalidRequest(f"inputs: image_url is for images, and {refusal}", param="inputs")
    return document
