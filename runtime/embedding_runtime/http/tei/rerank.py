"""TEI's POST /rerank: a query and texts in, the texts' numbers and scores out, best first."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from embedding_model.resolved import Task
from embedding_runtime.core.reranking import rerank
from embedding_runtime.errors import EmptyInput
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.tei.truncation import Direction, require_direction
from embedding_runtime.http.validation import validate


class RerankRequest(BaseModel):
    """`truncate`: whether a pair that is too long is cut (the default) or refused.

    `instruction` is ours: it takes the place of the served one in the template of a language model that reranks.
    Unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    query: str
    texts: list[str]
    truncate: bool = True
    truncation_direction: Direction | None = None
    raw_scores: bool = False
    return_text: bool = False
    instruction: str | None = None


async def rerank_texts(call: Call) -> Response:
    call.require_task(Task.RERANKING)
    call.check_pin("")
    asked = validate(call.document, form=RerankRequest)
    model = call.loaded.model
    if not asked.texts:
        raise EmptyInput("texts: must hold at least one text.", param="texts")
    require_direction(asked.truncation_direction, side=model.serving.truncation_side)
    found = await rerank(
        call.loaded.engine,
        asked.query,
        asked.texts,
        resolved=model.resolved,
        raw=asked.raw_scores,
        instruction=asked.instruction,
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )
    entries: list[dict[str, Any]] = [{"index": index, "score": found.scores[index]} for index in found.order]
    if asked.return_text:
        entries = [{**entry, "text": asked.texts[entry["index"]]} for entry in entries]
    return json_response(entries, measured=found.measured)
