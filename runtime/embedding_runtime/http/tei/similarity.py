"""TEI's POST /similarity: how similar each of several texts is to one, as the cosine of their vectors."""

from typing import Annotated

import numpy as np
from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.core.embedding import embed
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.core.prompts import AskedPrompt
from embedding_runtime.errors import EmptyInput, InvalidRequest
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import PromptName
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import write_suffix
from embedding_runtime.http.tei.texts import find_prompt
from embedding_runtime.http.tei.truncation import OptionalDirection, Truncate
from embedding_runtime.http.validation import RequestForm, validate


class SimilarityInputs(RequestForm):
    source_sentence: Annotated[str, Field(description="What each of the others is compared with.")]
    sentences: Annotated[list[str], Field(description="One similarity each is answered, in this order.")]


class SimilarityParameters(RequestForm):
    """As those of `/embed`; they hold for all of the texts."""

    truncate: Truncate = True
    truncation_direction: OptionalDirection = None
    prompt_name: PromptName = None


class SimilarityRequest(RequestForm):
    """Unknown fields are ignored."""

    inputs: Annotated[SimilarityInputs, Field(description="The texts to compare.")]
    parameters: Annotated[SimilarityParameters, Field(description="How they are read.")] = SimilarityParameters()


async def compare_texts(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    _check_number(call)
    asked = validate(call.document, form=SimilarityRequest)
    texts = [asked.inputs.source_sentence, *asked.inputs.sentences]
    if len(texts) == 1:
        raise EmptyInput("inputs: sentences must hold at least one text.", param="inputs")
    serving = call.loaded.model.serving
    prompt = find_prompt(call, asked=AskedPrompt(name=asked.parameters.prompt_name))
    suffix = write_suffix(serving, prompt=prompt)
    call.check_pin(suffix)
    found = await embed(
        call.loaded.engine,
        texts,
        serving=serving,
        prompt=prompt,
        normalize=True,
        truncate=asked.parameters.truncate,
        side=asked.parameters.truncation_direction,
        ahead=call.is_golden_case,
    )
    return json_response(compare(found.vectors), space_suffix=suffix, measured=found.measured)


def _check_number(call: Call) -> None:
    """Before the sentences are read one by one. Raises InvalidRequest."""
    inputs = call.document.get("inputs")
    sentences = inputs.get("sentences") if isinstance(inputs, dict) else None
    most = call.loaded.limits.inputs - 1
    if isinstance(sentences, list) and len(sentences) > most:
        raise InvalidRequest(
            f"At most {most} sentences in one request, {len(sentences)} came. Send them in several requests.",
            param="inputs",
        )


def compare(vectors: Vectors) -> Vectors:
    """The first of vectors of length 1 with each of the others: float32 [vectors - 1], from -1 to 1."""
    cosines: Vectors = np.clip(vectors[1:] @ vectors[0], -1, 1)
    return cosines
