"""Cohere's POST /v1/rerank and /v2/rerank: a query and documents in, their numbers and scores out, best first."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from embedding_runtime.http.cohere.meta import Priority, add_identity, choose_name
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import (
    ModelName,
    OptionalModelName,
    Query,
    RerankInstruction,
    ReturnDocuments,
    TopN,
)
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import Document, rank_documents
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.usage import Version, describe_search
from embedding_runtime.http.validation import Count, Flag, RequestForm, validate

_MOST_FIELDS = 64  # of one document that are ranked: each is looked for in every document


class RerankRequest(RequestForm):
    """What both versions have. Unknown fields are ignored."""

    query: Query
    documents: Annotated[
        list[Document], Field(min_length=1, description="What is scored: texts, or objects whose `text` is.")
    ]
    top_n: TopN = None
    return_documents: ReturnDocuments = False
    raw_scores: Annotated[
        Flag, Field(description="The model's logits in place of their sigmoids. Not of the vendor's API.")
    ] = False
    instruction: RerankInstruction = None


class RerankV1Request(RerankRequest):
    """A document is one input, cut to the model's maximum."""

    model: OptionalModelName = None
    rank_fields: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            max_length=_MOST_FIELDS,
            description="Which fields of a document are scored, in this order; absent: `text`.",
        ),
    ] = None
    max_chunks_per_doc: Annotated[Count | None, Field(description="Checked, and changes nothing.")] = None


class RerankV2Request(RerankRequest):
    """Requests are answered in the order in which they come."""

    model: ModelName
    max_tokens_per_doc: Annotated[Count | None, Field(description="What is longer of a document is cut off.")] = None
    priority: Priority = 0


async def rerank_v1(call: Call) -> Response:
    check_number(call, param="documents")
    asked = validate(call.document, form=RerankV1Request)
    # A field that is named twice is ranked once: otherwise a short list would make a long text of any document.
    fields = tuple(dict.fromkeys(asked.rank_fields or ("text",)))
    return await _rerank(call, asked=asked, name=asked.model, fields=fields, version=Version.V1)


async def rerank_v2(call: Call) -> Response:
    check_number(call, param="documents")
    asked = validate(call.document, form=RerankV2Request)
    most = asked.max_tokens_per_doc
    return await _rerank(call, asked=asked, name=asked.model, version=Version.V2, max_document_tokens=most)


async def _rerank(
    call: Call,
    *,
    asked: RerankRequest,
    name: str | None,
    version: Version,
    fields: Sequence[str] = ("text",),
    max_document_tokens: int | None = None,
) -> Response:
    name = choose_name(call, name=name)
    ranking = await rank_documents(
        call,
        query=asked.query,
        documents=asked.documents,
        fields=fields,
        top_n=asked.top_n,
        return_documents=asked.return_documents,
        max_document_tokens=max_document_tokens,
        raw=asked.raw_scores,
        instruction=asked.instruction,
    )
    answer = {"results": ranking.results, "meta": describe_search(ranking.measured, version=version)}
    document = add_identity(answer, call=call, name=name, measured=ranking.measured)
    return json_response(document, space_suffix=ranking.space_suffix, model=name, measured=ranking.measured)
