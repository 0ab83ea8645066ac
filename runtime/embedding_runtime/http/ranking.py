"""A query and documents to scores, as every dialect's rerank shares them, and to results of Cohere's and Jina's.

A score is the sigmoid of the model's logit, for the vendors' and TEI's scores lie between 0 and 1 and clients filter by
them, whatever activation the model is served with. That one decides the scores of golden cases, and the space.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from embedding_model.resolved import Activation, ResolvedModel, Side, Task
from embedding_runtime.core.activations import sigmoid
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.core.measured import Measured
from embedding_runtime.core.reranking import find_other_instruction, rerank
from embedding_runtime.errors import InvalidRequest
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.space_suffix import AnswerKind, write_suffix

# A reranker's softmax is the sigmoid of the difference of its two logits, which is what its logit is here.
_SIGMOIDS = (Activation.SIGMOID, Activation.SOFTMAX)

# Characters of a query for all of its documents together, for it is tokenised with each: some seconds of one core. Only
# a query of few words and very much else between them comes near it, for any other is cut to what the model takes.
MOST_QUERY_CHARACTERS = 2**25

# A text, or an object that holds it.
Document = str | dict[str, Any]


@dataclass(frozen=True)
class Scored:
    """`scores` is float32 [documents], in their order; `order` holds the documents' numbers, best first."""

    scores: Vectors
    order: Sequence[int]
    measured: Measured
    space_suffix: str


@dataclass(frozen=True)
class Ranking:
    """`results`: `{"index", "relevance_score"}` and `document` where it was asked for."""

    results: Sequence[dict[str, Any]]
    measured: Measured
    space_suffix: str


async def score_documents(
    call: Call,
    *,
    query: str,
    documents: Sequence[str],
    raw: bool = False,
    instruction: str | None = None,
    truncate: bool = True,
    side: Side | None = None,
    max_document_tokens: int | None = None,
) -> Scored:
    """`raw`: logits. A golden case gets what the served activation makes of them.

    `side` and `max_document_tokens`: see Pair; `truncate`: see Engine.compute. Raises RequestError.
    """
    resolved = call.loaded.model.resolved
    as_served = call.is_golden_case and not raw
    suffix = _write_suffix(resolved, raw=raw, as_served=as_served, instruction=instruction)
    call.check_pin(suffix)
    query = await call.loaded.tokenizer.shorten(query)
    if len(query) * len(documents) > MOST_QUERY_CHARACTERS:
        raise InvalidRequest(
            f"query: {len(query)} characters are too long for {len(documents)} documents at once; "
            f"{MOST_QUERY_CHARACTERS // len(documents)} may be. Send a shorter one.",
            param="query",
        )
    found = await rerank(
        call.loaded.engine,
        query,
        documents,
        resolved=resolved,
        raw=not as_served,
        instruction=instruction,
        truncate=truncate,
        side=side,
        max_document_tokens=max_document_tokens,
        ahead=call.is_golden_case,
    )
    scores = found.scores if raw or as_served else sigmoid(found.scores)
    return Scored(scores, order=found.order, measured=found.measured, space_suffix=suffix)


async def rank_documents(
    call: Call,
    *,
    query: str,
    documents: Sequence[Document],
    fields: Sequence[str] = ("text",),
    top_n: int | None = None,
    return_documents: bool = False,
    max_document_tokens: int | None = None,
    raw: bool = False,
    instruction: str | None = None,
) -> Ranking:
    """`fields`: which fields of a document that is an object are ranked, in this order. The rest: see score_documents.

    Raises RequestError.
    """
    call.require_task(Task.RERANKING)
    scored = await score_documents(
        call,
        query=query,
        documents=[read_text(document, fields=fields, index=index) for index, document in enumerate(documents)],
        raw=raw,
        instruction=instruction,
        max_document_tokens=max_document_tokens,
    )
    results: list[dict[str, Any]] = [
        {"index": index, "relevance_score": scored.scores[index]} for index in scored.order[:top_n]
    ]
    if return_documents:
        results = [{**entry, "document": _show(documents[entry["index"]])} for entry in results]
    return Ranking(results=results, measured=scored.measured, space_suffix=scored.space_suffix)


def read_text(document: Document, *, fields: Sequence[str] = ("text",), index: int, param: str = "documents") -> str:
    """The text of a document. Raises InvalidRequest for an object without it."""
    if isinstance(document, str):
        return document
    values = [document[field] for field in fields if document.get(field) is not None]
    if not values or not all(isinstance(value, str) for value in values):
        known = "text" if tuple(fields) == ("text",) else "the fields to rank"
        raise InvalidRequest(f"{param}: entry {index} is an object without a text under {known}.", param=param)
    return "\n".join(values)


def _write_suffix(resolved: ResolvedModel, *, raw: bool, as_served: bool, instruction: str | None) -> str:
    activation = resolved.serving.activation
    kind = None
    if raw and activation is not Activation.IDENTITY:
        kind = AnswerKind.RAW
    elif not raw and not as_served and activation not in _SIGMOIDS:
        kind = AnswerKind.SIGMOID
    other = find_other_instruction(resolved, asked=instruction)
    return write_suffix(resolved.serving, instruction=other, kind=kind)


def _show(document: Document) -> dict[str, Any]:
    """Always an object, as clients of both dialects read it."""
    return {"text": document} if isinstance(document, str) else document
