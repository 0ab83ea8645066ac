"""TEI's POST /rerank: a query and texts in, the texts' numbers and scores out, best first."""

from typing import Annotated, Any

from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import Query, RerankInstruction
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import score_documents
from embedding_runtime.http.tei.truncation import OptionalDirection, Truncate
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.validation import Flag, RequestForm, validate


class RerankRequest(RequestForm):
    """Of a query and a text that are too long together the text is cut first. Unknown fields are ignored."""

    query: Query
    texts: Annotated[list[str], Field(description="What is scored; at least one.")]
    truncate: Truncate = True
    truncation_direction: OptionalDirection = None
    raw_scores: Annotated[Flag, Field(description="The model's logits in place of their sigmoids.")] = False
    return_text: Annotated[Flag, Field(description="Whether the answer repeats each text.")] = False
    instruction: RerankInstruction = None


async def rerank_texts(call: Call) -> Response:
    call.require_task(Task.RERANKING)
    check_number(call, param="texts")
    asked = validate(call.document, form=RerankRequest)
    if not asked.texts:
        raise EmptyInput("texts: must hold at least one text.", param="texts")
    found = await score_documents(
        call,
        query=asked.query,
        documents=asked.texts,
        raw=asked.raw_scores,
        instruction=asked.instruction,
        truncate=asked.truncate,
        side=asked.truncation_direction,
    )
    entries: list[dict[str, Any]] = [{"index": index, "score": found.scores[index]} for index in found.order]
    if asked.return_text:
        entries = [{**entry, "text": asked.texts[entry["index"]]} for entry in entries]
    return json_response(entries, space_suffix=found.space_suffix, measured=found.measured)
