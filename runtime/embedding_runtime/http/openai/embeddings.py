"""OpenAI's POST /v1/embeddings, as its SDKs use it.

The empty string is answered, as sentence-transformers answers it: one empty chunk must not fail a batch of a thousand.
"""

import asyncio
import base64
from enum import StrEnum
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.validation import validate

# Values beyond which encoding an answer leaves the event loop (about a millisecond of work).
INLINE_VALUES = 65_536


class EncodingFormat(StrEnum):
    FLOAT = "float"
    BASE64 = "base64"  # little-endian float32; what the OpenAI SDKs ask for by default


class EmbeddingsRequest(BaseModel):
    """Unknown fields (`user` among them) are ignored.

    OpenAI has the first four; the rest are extensions, as clients send them in `extra_body`. `normalize` false: the
    pooled vector as it is. `prompt_name`, `input_type`, `prompt` and `instruction` are those of `AskedPrompt`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    input: list[str]
    encoding_format: EncodingFormat = EncodingFormat.FLOAT
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool | None = None
    prompt_name: str | None = None
    input_type: InputType | None = None
    prompt: str | None = None
    instruction: str | None = None

    def describe_prompt(self) -> AskedPrompt:
        return AskedPrompt(
            name=self.prompt_name, input_type=self.input_type, text=self.prompt, instruction=self.instruction
        )

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


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    asked = validate(call.document, form=EmbeddingsRequest)
    serving = call.loaded.model.serving
    own = call.choose_prompt(asked.model)
    prompt = choose_prompt(asked.describe_prompt(), serving=serving, default=own.text if own else "")
    suffix = write_suffix(serving, dimensions=asked.dimensions, normalize=asked.normalize, prompt=prompt)
    call.check_pin(suffix)
    found = await embed(
        call.loaded.engine,
        asked.input,
        serving=serving,
        prompt=prompt,
        dimensions=asked.dimensions,
        normalize=asked.normalize,
        ahead=call.is_golden_case,
    )

    def encode() -> Response:
        return _encode(found, asked=asked, suffix=suffix)

    return encode() if found.vectors.size <= INLINE_VALUES else await asyncio.to_thread(encode)


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
        "usage": describe_usage(found.measured),
    }
    return json_response(document, space_suffix=suffix, model=asked.model, measured=found.measured)


def describe_usage(measured: Measured) -> dict[str, int]:
    """`truncated_inputs` is ours: how many of the inputs were cut to the model's maximum length."""
    return {
        "prompt_tokens": measured.tokens,
        "total_tokens": measured.tokens,
        "truncated_inputs": measured.truncated,
    }


def _to_base64(row: Vectors) -> str:
    return base64.b64encode(np.ascontiguousarray(row, dtype="<f4").tobytes()).decode("ascii")
