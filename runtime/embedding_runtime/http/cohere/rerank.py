"""Cohere's POST /v1/rerank and /v2/rerank: a query and documents in, their numbers and scores out, best first."""

from collections.abc import Sequence

from pydantic import Field

from embedding_runtime.http.cohere.meta import Priority, add_identity, choose_name
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import Document, rank_documents
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.usage import Version, describe_search
from embedding_runtime.http.validation import Count, Flag, RequestForm, validate

_MOST_FIELDS = 64  # of one document that are ranked: each is looked for in every document


class RerankRequest(RequestForm):
    """What both versions have. Unknown fields are ignored.

    A document is a text, or an object whose `text` is ranked. `return_documents`: the answer repeats the documents, as
    objects. `raw_scores` and `instruction` are ours: logits in place of scores, and the instruction in the template of
    a language model that reranks.
    """

    query: str
    documents: list[Document] = Field(min_length=1)
    top_n: Count | None = None
    return_documents: Flag = False
    raw_scores: Flag = False
    instruction: str | None = None


class RerankV1Request(RerankRequest):
    """`model` may be left out: the first served name. `rank_fields`: which fields of a document are ranked, in this
    order. `max_chunks_per_doc` is checked and changes nothing: a document is one input, cut to the model's maximum.
    """

    model: str | None = None
    rank_fields: list[str] | None = Field(default=None, min_length=1, max_length=_MOST_FIELDS)
    max_chunks_per_doc: Count | None = None


class RerankV2Request(RerankRequest):
    """`max_tokens_per_doc`: what is longer of a document is cut off. `priority` is checked and changes nothing."""

    model: str
    max_tokens_per_doc: Count | None = None
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
