"""Jina's POST /v1/rerank: a query and documents in, the documents with their scores out, best first."""

from typing import Annotated, Any

from pydantic import Field

from embedding_runtime.http.dialect import Call
from embedding_runtime.http.fields import ModelName, ReturnDocuments, TopN
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.ranking import Document, rank_documents, read_text
from embedding_runtime.http.text_inputs import check_number
from embedding_runtime.http.usage import Version, describe_search, describe_usage
from embedding_runtime.http.validation import RequestForm, validate


class RerankRequest(RequestForm):
    """Unknown fields are ignored. Query and documents are texts, or objects that hold one under `text`."""

    model: ModelName
    query: Annotated[Document, Field(description="What the documents are scored for.")]
    documents: Annotated[list[Document], Field(min_length=1, description="What is scored.")]
    top_n: TopN = None
    return_documents: ReturnDocuments = True  # as at the vendor


async def rerank(call: Call) -> Response:
    check_number(call, param="documents")
    asked = validate(call.document, form=RerankRequest)
    name = call.choose_name(asked.model)
    ranking = await rank_documents(
        call,
        query=read_text(asked.query, index=0, param="query"),
        documents=asked.documents,
        top_n=asked.top_n,
        return_documents=asked.return_documents,
    )
    answer: dict[str, Any] = {
        "model": name,
        "object": "list",
        "usage": describe_usage(ranking.measured),
        "results": ranking.results,
    }
    if not call.strict:
        answer["meta"] = describe_search(ranking.measured, version=Version.V1)
    return json_response(answer, space_suffix=ranking.space_suffix, model=name, measured=ranking.measured)
