"""TEI's POST /embed: texts in, one bare list of vectors out, normalised unless the request says otherwise."""

from typing import Annotated

from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import embed
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import Dimensions
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.tei.texts import TextsRequest, describe_prompt, find_prompt, read_texts
from embedding_runtime.http.validation import Flag
from embedding_runtime.http.vector_encoding import build_response


class EmbedRequest(TextsRequest):
    """`normalize` is true where the request does not say, as in TEI, whatever the model's own pipeline does."""

    normalize: Annotated[Flag, Field(description="False: the pooled vector as it is.")] = True
    dimensions: Dimensions = None


async def create_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    asked = read_texts(call, form=EmbedRequest)
    serving = call.loaded.model.serving
    prompt = find_prompt(call, asked=describe_prompt(asked))
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
        side=asked.truncation_direction,
        ahead=call.is_golden_case,
    )

    def encode() -> Response:
        return json_response(found.vectors, space_suffix=suffix, measured=found.measured)

    return await build_response(encode, values=found.vectors.size)
