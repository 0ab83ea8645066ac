"""TEI's POST /tokenize: texts to the tokens of the model's own tokenizer, before anything is cut.

The ids of a text, special tokens and prompt among them, are what a model that takes token ids computes the same vector
from.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from embedding_runtime.core.admission import estimate_tokens
from embedding_runtime.core.inputs import Text
from embedding_runtime.core.prompts import AskedPrompt
from embedding_runtime.core.vocabulary import TokenizedText
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import PromptName, PromptText
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.tei.texts import find_prompt
from embedding_runtime.http.text_inputs import TextsOrIds, check_ids, check_number
from embedding_runtime.http.validation import Flag, RequestForm, validate


class TokenizeRequest(RequestForm):
    """The prompt's tokens come first; without `prompt_name` and `prompt` those of the model's default prompt. Unknown
    fields are ignored.
    """

    inputs: Annotated[TextsOrIds, Field(description="A text or a list of texts.")]
    add_special_tokens: Annotated[Flag, Field(description="Those that the tokenizer puts around a text.")] = True
    prompt_name: PromptName = None
    prompt: PromptText = None


async def tokenize_texts(call: Call) -> Response:
    call.check_pin("")
    check_number(call, param="inputs")
    asked = validate(call.document, form=TokenizeRequest)
    if not asked.inputs:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    check_ids(call, asked.inputs, param="inputs", taken=False)
    prompt = find_prompt(call, asked=AskedPrompt(name=asked.prompt_name, text=asked.prompt))
    texts = [Text(text, prompt=prompt) for text in asked.inputs if isinstance(text, str)]
    tokenizer = call.loaded.tokenizer
    estimate = estimate_tokens(texts, max_input_tokens=tokenizer.max_tokens)
    with call.loaded.engine.admission.admit(estimate):
        found = await tokenizer.tokenize(texts, add_special_tokens=asked.add_special_tokens)
        return await asyncio.to_thread(_encode, found)


def _encode(found: Sequence[TokenizedText]) -> Response:
    """A text at a time: as objects of Python its tokens take ten times what they take as JSON."""
    texts = (json_response(list(_describe(text))).body for text in found)
    return Response(status=200, body=b"[" + b",".join(texts) + b"]")


def _describe(text: TokenizedText) -> Iterator[dict[str, Any]]:
    for token in text:
        yield {
            "id": token.id,
            "text": token.text,
            "special": token.special,
            "start": token.start,
            "stop": token.stop,
        }
