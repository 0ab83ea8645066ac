"""TEI's POST /rerank: a query and texts in, the texts' numbers and scores out, best first."""

from typing import Any

from embedding_model.resolved import Task
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import score_documents
from embedding_runtime.http.tei.truncation import Direction
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.validation import Flag, RequestForm, validate


class RerankRequest(RequestForm):
    """`truncate`: whether a pair that is too long is cut (the default) or refused; `truncation_direction`: from which
    side of the text, the served one where it is not said. A score is the sigmoid of the model's logit; `raw_scores`:
    the logit itself.

    `instruction` is ours: it takes the place of the served one in the template of a language model that reranks.
    Unknown fields are ignored.
    """

    query: str
    texts: list[str]
    truncate: Flag = True
    truncation_direction: Direction | None = None
    raw_scores: Flag = False
    return_text: Flag = False
    instruction: str | None = None


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
