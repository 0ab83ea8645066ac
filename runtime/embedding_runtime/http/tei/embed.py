"""TEI's POST /embed: texts in, one bare list of vectors out, normalised unless the request says otherwise."""

import asyncio

from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import embed
from embedding_runtime.core.prompts import AskedPrompt, choose_prompt
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.tei.texts import TextsRequest, read_texts
from embedding_runtime.http.tei.truncation import Direction, require_direction

# Values beyond which encoding an answer leaves the event loop (about a millisecond of work).
_INLINE_VALUES = 65_536


class EmbedRequest(TextsRequest):
    """`normalize` is true where the request does not say, as in TEI, whatever the model's own pipeline does.

    `prompt` and `instruction` are ours, as `input_type` is (see `AskedPrompt`).
    """

    truncation_direction: Direction | None = None
    normalize: bool = True
    dimensions: int | None = Field(default=None, ge=1)
    prompt: str | None = None
    instruction: str | None = None


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    asked = read_texts(call, form=EmbedRequest)
    serving = call.loaded.model.serving
    require_direction(asked.truncation_direction, side=serving.truncation_side)
    prompt = _choose_prompt(call, asked=asked)
    suffix = write_suffix(serving, dimensions=asked.dimensions, normalize=asked.normalize, prompt=prompt)
    call.check_pin(suffix)
    found = await embed(
        call.loaded.engine,
        asked.inputs,
        serving=serving,
        prompt=prompt,
        dimensions=asked.dimensions,
        normalize=asked.normalize,
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )

    def encode() -> Response:
        return json_response(found.vectors, space_suffix=suffix, measured=found.measured)

    return encode() if found.vectors.size <= _INLINE_VALUES else await asyncio.to_thread(encode)


def _choose_prompt(call: Call, *, asked: EmbedRequest) -> str:
    serving = call.loaded.model.serving
    name = serving.default_prompt if call.prompt is None else call.prompt
    default = serving.prompt(name) if name else None
    wanted = AskedPrompt(
        name=asked.prompt_name, input_type=asked.input_type, text=asked.prompt, instruction=asked.instruction
    )
    return choose_prompt(wanted, serving=serving, default=default.text if default else "")
