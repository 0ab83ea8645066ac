"""OpenAI's POST /v1/embeddings, as its SDKs use it.

The empty string is answered, as sentence-transformers answers it: one empty chunk must not fail a batch of a thousand.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import Embeddings, embed
from embedding_runtime.core.prompts import AskedPrompt, choose_prompt
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import (
    Dimensions,
    ModelName,
    Normalize,
    PromptInstruction,
    PromptName,
    PromptRole,
    PromptText,
)
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.text_inputs import TextsOrIds, check_ids, check_number
from embedding_runtime.http.usage import describe_usage
from embedding_runtime.http.validation import RequestForm, validate
from embedding_runtime.http.vector_encoding import build_response, to_base64


class EncodingFormat(StrEnum):
    FLOAT = "float"
    BASE64 = "base64"  # little-endian float32; what the OpenAI SDKs ask for by default


class EmbeddingsRequest(RequestForm):
    """Unknown fields (`user` among them) are ignored.

    OpenAI has the first four; the rest are extensions, as clients send them in `extra_body`. One of the last four
    chooses the prompt in place of the served name.
    """

    model: ModelName
    input: Annotated[TextsOrIds, Field(description="A text or a list of texts; token ids where they are taken.")]
    encoding_format: Annotated[
        EncodingFormat, Field(description="Numbers, or their bytes: little-endian float32 in base64.")
    ] = EncodingFormat.FLOAT
    dimensions: Dimensions = None
    normalize: Normalize = None
    prompt_name: PromptName = None
    input_type: PromptRole = None
    prompt: PromptText = None
    instruction: PromptInstruction = None

    def describe_prompt(self) -> AskedPrompt:
        return AskedPrompt(
            name=self.prompt_name, input_type=self.input_type, text=self.prompt, instruction=self.instruction
        )


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    check_number(call, param="input")
    asked = validate(call.document, form=EmbeddingsRequest)
    if not asked.input:
        raise EmptyInput("input: must not be an empty list.", param="input")
    default = call.choose_prompt(asked.model)
    check_ids(call, asked.input, param="input")
    serving = call.loaded.model.serving
    prompt = choose_prompt(asked.describe_prompt(), serving=serving, default=default)
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

    return await build_response(encode, values=found.vectors.size)


def _encode(found: Embeddings, *, asked: EmbeddingsRequest, suffix: str) -> Response:
    in_base64 = asked.encoding_format is EncodingFormat.BASE64
    vectors: Any = to_base64(found.vectors) if in_base64 else found.vectors
    document = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)],
        "model": asked.model,
        "usage": describe_usage(found.measured),
    }
    return json_response(document, space_suffix=suffix, model=asked.model, measured=found.measured)
