"""OpenAI's embeddings API, as its SDKs use it: POST /v1/embeddings, GET /v1/models.

The empty string is answered, as sentence-transformers answers it: one empty chunk must not fail a batch of a thousand.
"""

import asyncio
import base64
from enum import StrEnum
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.errors import InvalidRequest, RequestError
from embedding_runtime.http.dialect import Call, Dialect
from embedding_runtime.http.errors import Row
from embedding_runtime.http.messages import Response, json_response

# Values beyond which encoding an answer leaves the event loop (about a millisecond of work).
INLINE_VALUES = 65_536


class EncodingFormat(StrEnum):
    FLOAT = "float"
    BASE64 = "base64"  # little-endian float32; what the OpenAI SDKs ask for by default


class EmbeddingsRequest(BaseModel):
    """Unknown fields (`user` among them) are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    input: list[str]
    encoding_format: EncodingFormat = EncodingFormat.FLOAT
    dimensions: int | None = Field(default=None, ge=1)

    @field_validator("input", mode="before")
    @classmethod
    def check_input(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise ValueError("must be a string or a list of strings")
        if not value:
            raise ValueError("must not be an empty list")
        if any(isinstance(entry, int | list) and not isinstance(entry, bool) for entry in value):
            raise ValueError(
                "must be text, not token ids: ids made by another model's tokenizer would give wrong vectors. "
                "In LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False"
            )
        wrong = next((index for index, entry in enumerate(value) if not isinstance(entry, str)), None)
        if wrong is not None:
            raise ValueError(f"must hold strings only; entry {wrong} is none")
        return value


def parse_request(document: dict[str, Any]) -> EmbeddingsRequest:
    """Raises InvalidRequest that names the first wrong field and never repeats its value."""
    try:
        return EmbeddingsRequest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{field or 'The body'}: {said}.", param=field) from None


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    asked = parse_request(call.request.parse_json())
    prompt = call.choose_prompt(asked.model)
    suffix = call.check_dimensions(asked.dimensions)
    call.check_pin(suffix)
    found = await embed(
        call.loaded.engine,
        asked.input,
        serving=call.loaded.model.serving,
        prompt=prompt,
        dimensions=asked.dimensions,
        ahead=call.is_golden_case,
    )

    def encode() -> Response:
        return _encode(found, asked=asked, suffix=suffix)

    return encode() if found.vectors.size <= INLINE_VALUES else await asyncio.to_thread(encode)


async def list_models(call: Call) -> Response:
    entries = [{"id": name, "object": "model", "created": 0, "owned_by": "owner"} for name in call.loaded.model.names]
    return json_response({"object": "list", "data": entries})


def describe_error(error: RequestError, row: Row) -> object:
    return {"error": {"message": error.message, "type": row.openai_type, "param": error.param, "code": row.code}}


def _encode(found: Embeddings, *, asked: EmbeddingsRequest, suffix: str) -> Response:
    in_base64 = asked.encoding_format is EncodingFormat.BASE64
    data = [
        {"object": "embedding", "index": index, "embedding": _to_base64(row) if in_base64 else row}
        for index, row in enumerate(found.vectors)
    ]
    document = {
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }
    return json_response(document, space_suffix=suffix, model=asked.model)


def _to_base64(row: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode("ascii")


OPENAI = Dialect(
    name="openai",
    routes={
        "/v1/embeddings": {"POST": create_embeddings},
        "/embeddings": {"POST": create_embeddings},
        "/v1/models": {"GET": list_models},
    },
    error_body=describe_error,
)
