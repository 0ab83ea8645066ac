"""Jina's POST /v1/embeddings: OpenAI's answer, with further types of number, tasks and late chunking."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.late_chunking import embed_chunks
from embedding_runtime.core.output_types import OutputType, convert, require_types
from embedding_runtime.errors import InvalidRequest
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import Dimensions, ModelName
from embedding_runtime.http.jina.task import find_prompt
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import Document, read_text
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.text_inputs import check_number, refuse_ids
from embedding_runtime.http.usage import describe_usage
from embedding_runtime.http.validation import Flag, RequestForm, validate
from embedding_runtime.http.vector_encoding import build_response, to_base64


class EmbeddingType(StrEnum):
    FLOAT = "float"
    BASE64 = "base64"  # of little-endian float32: the numbers of float
    BINARY = "binary"
    UBINARY = "ubinary"


def _read_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


# A type that is named twice is answered once; no request needs to name many.
_Types = Annotated[list[EmbeddingType], Field(min_length=1, max_length=16)]
_Inputs = Annotated[list[Document], Field(min_length=1)]

# One, or a list of them: always read as a list.
Types = Annotated[_Types, BeforeValidator(_read_list, json_schema_input_type=EmbeddingType | _Types)]
Inputs = Annotated[_Inputs, BeforeValidator(_read_list, json_schema_input_type=Document | _Inputs)]


class EmbeddingsRequest(RequestForm):
    """Unknown fields are ignored. `embedding_type` has two more names, by which clients call it."""

    model: ModelName
    input: Annotated[Inputs, Field(description='A text or {"text": ...}, or a list of them.')]
    embedding_type: Annotated[Types | None, Field(description="One type or several; absent: float.")] = None
    encoding_format: Annotated[Types | None, Field(description="As `embedding_type`.")] = None
    encoding_type: Annotated[Types | None, Field(description="As `embedding_type`.")] = None
    task: Annotated[
        str | None,
        Field(
            description="What the texts are for, and so which prompt they get: a task of the vendor's, such as "
            "retrieval.query, or the name of one of the model's prompts; absent: the served name's."
        ),
    ] = None
    dimensions: Dimensions = None
    normalized: Annotated[Flag | None, Field(description="False: the pooled vector as it is. Absent: as served.")] = (
        None
    )
    late_chunking: Annotated[Flag, Field(description="All inputs are read as one text.")] = False
    truncate: Annotated[Flag, Field(description="Whether what is too long is cut or refused.")] = False

    @property
    def types(self) -> Sequence[EmbeddingType]:
        named = self.embedding_type or self.encoding_format or self.encoding_type or (EmbeddingType.FLOAT,)
        return tuple(dict.fromkeys(named))


_OUTPUTS: Mapping[EmbeddingType, OutputType] = {
    EmbeddingType.FLOAT: OutputType.FLOAT,
    EmbeddingType.BASE64: OutputType.FLOAT,
    EmbeddingType.BINARY: OutputType.BINARY,
    EmbeddingType.UBINARY: OutputType.UBINARY,
}


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    check_number(call, param="input")
    refuse_ids(call, param="input")
    asked = validate(call.document, form=EmbeddingsRequest)
    texts = [_read_input(entry, index=index) for index, entry in enumerate(asked.input)]
    serving = call.loaded.model.serving
    prompt = call.choose_prompt(asked.model)
    if asked.task is not None and not call.is_golden_case:
        prompt = find_prompt(asked.task, serving=serving)
    outputs = {_OUTPUTS[kind] for kind in asked.types}
    require_types(outputs, serving=serving, dimensions=asked.dimensions, normalize=asked.normalized)
    suffix = write_suffix(
        serving,
        dimensions=asked.dimensions,
        normalize=asked.normalized,
        prompt=prompt,
        outputs=outputs,
        late=asked.late_chunking,
    )
    call.check_pin(suffix)
    found = await _embed(call, asked=asked, texts=texts, prompt=prompt)

    def encode() -> Response:
        return _encode(found, asked=asked, suffix=suffix)

    return await build_response(encode, values=found.vectors.size * len(asked.types))


async def _embed(call: Call, *, asked: EmbeddingsRequest, texts: Sequence[str], prompt: str) -> Embeddings:
    engine, ahead = call.loaded.engine, call.is_golden_case
    dimensions, normalize = asked.dimensions, asked.normalized
    resolved = call.loaded.model.resolved
    if asked.late_chunking:
        return await embed_chunks(
            engine, texts, resolved=resolved, prompt=prompt, dimensions=dimensions, normalize=normalize, ahead=ahead
        )
    return await embed(
        engine,
        texts,
        serving=resolved.serving,
        prompt=prompt,
        dimensions=dimensions,
        normalize=normalize,
        truncate=asked.truncate,
        ahead=ahead,
    )


def _read_input(entry: Document, *, index: int) -> str:
    if isinstance(entry, dict) and ("image" in entry or "url" in entry or "bytes" in entry):
        raise InvalidRequest(f"input: entry {index} is an image, and this model reads text alone.", param="input")
    return read_text(entry, index=index, param="input")


def _encode(found: Embeddings, *, asked: EmbeddingsRequest, suffix: str) -> Response:
    by_type = {kind.value: _convert(found, kind=kind) for kind in asked.types}
    if len(by_type) == 1:
        [embeddings] = by_type.values()
    else:
        rows = zip(*by_type.values(), strict=True)
        embeddings = [dict(zip(by_type, row, strict=True)) for row in rows]
    data = [
        {"object": "embedding", "index": index, "embedding": embedding} for index, embedding in enumerate(embeddings)
    ]
    document = {"object": "list", "data": data, "model": asked.model, "usage": describe_usage(found.measured)}
    return json_response(document, space_suffix=suffix, model=asked.model, measured=found.measured)


def _convert(found: Embeddings, *, kind: EmbeddingType) -> Sequence[Any]:
    if kind is EmbeddingType.BASE64:
        return to_base64(found.vectors)
    return list(convert(found.vectors, output=_OUTPUTS[kind]))
