"""Cohere's POST /v1/rerank and /v2/rerank: a query and documents in, the documents' numbers and scores out, best first.

A score is the sigmoid of the model's logit, for the vendor's scores lie between 0 and 1 and clients filter by them,
whatever activation the model's own files name.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from embedding_model.resolved import Task
from embedding_runtime.core.activations import sigmoid
from embedding_runtime.core.reranking import rerank
from embedding_runtime.errors import EmptyInput, InvalidRequest
from embedding_runtime.http.cohere.meta import (
    HIGHEST_PRIORITY_NUMBER,
    Version,
    add_identity,
    choose_name,
    describe_search,
)
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.validation import Count, Flag, RequestForm, validate

Document = str | dict[str, Any]


class RerankRequest(RequestForm):
    """What both versions have. Unknown fields are ignored.

    A document is a text, or an object whose `text` is ranked. `return_documents`: the answer repeats the documents, as
    objects. `raw_scores` and `instruction` are ours: logits in place of scores, and the instruction in the template of
    a language model that reranks.
    """

    query: str
    documents: list[Document]
    top_n: Count | None = None
    return_documents: Flag = False
    raw_scores: Flag = False
    instruction: str | None = None


class RerankV1Request(RerankRequest):
    """`model` may be left out: the first served name. `rank_fields`: which fields of a document are ranked, in this
    order. `max_chunks_per_doc` is checked and changes nothing: a document is one input, cut to the model's maximum.
    """

    model: str | None = None
    rank_fields: list[str] | None = Field(default=None, min_length=1)
    max_chunks_per_doc: Count | None = None


class RerankV2Request(RerankRequest):
    """`max_tokens_per_doc`: what is longer of a document is cut off. `priority` is checked and changes nothing."""

    model: str
    max_tokens_per_doc: Count | None = None
    priority: int = Field(default=0, ge=0, le=HIGHEST_PRIORITY_NUMBER)


async def rerank_v1(call: Call) -> Response:
    call.require_task(Task.RERANKING)
    asked = validate(call.document, form=RerankV1Request)
    fields = asked.rank_fields or ("text",)
    return await _rerank(call, asked=asked, name=asked.model, fields=fields, version=Version.V1)


async def rerank_v2(call: Call) -> Response:
    call.require_task(Task.RERANKING)
    asked = validate(call.document, form=RerankV2Request)
    return await _rerank(call, asked=asked, name=asked.model, fields=("text",), version=Version.V2)


async def _rerank(
    call: Call, *, asked: RerankRequest, name: str | None, fields: Sequence[str], version: Version
) -> Response:
    call.check_pin("")
    if not asked.documents:
        raise EmptyInput("documents: must hold at least one document.", param="documents")
    name = choose_name(call, name=name)
    found = await rerank(
        call.loaded.engine,
        asked.query,
        [read_document(document, fields=fields, index=index) for index, document in enumerate(asked.documents)],
        resolved=call.loaded.model.resolved,
        raw=True,
        instruction=asked.instruction,
        ahead=call.is_golden_case,
    )
    scores = found.scores if asked.raw_scores else sigmoid(found.scores)
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": scores[index]} for index in found.order[: asked.top_n]
    ]
    if asked.return_documents:
        results = [{**entry, "document": show_document(asked.documents[entry["index"]])} for entry in results]
    answer = {"results": results, "meta": describe_search(found.measured, version=version)}
    document = add_identity(answer, call=call, name=name, measured=found.measured)
    return json_response(document, model=name, measured=found.measured)


def read_document(document: Document, *, fields: Sequence[str], index: int) -> str:
    """The text of a document that is ranked. Raises InvalidRequest for an object without it."""
    if isinstance(document, str):
        return document
    values = [document[field] for field in fields if field in document]
    if not values or not all(isinstance(value, str | int | float) for value in values):
        raise InvalidRequest(
            f"documents: entry {index} is an object without a text under {' or '.join(fields[:5])}.", param="documents"
        )
    return "\n".join(str(value) for value in values)


def show_document(document: Document) -> dict[str, Any]:
    """As clients of this API expect it: always an object."""
    return {"text": document} if isinstance(document, str) else document
