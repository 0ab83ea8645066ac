"""TEI's POST /embed_sparse: the weights of the tokens of the vocabulary that are not 0.

TEI answers it for SPLADE alone. Here it is also the sparse part of an embedder that has a head for it (bge-m3). Where a
table stands for the model when it reads queries, the prompt_name or input_type "query" asks for it.
"""

from typing import Any

from embedding_model.resolved import Task, TokenHeadKind
from embedding_runtime.core.jobs import SparseVector
from embedding_runtime.core.prompts import AskedPrompt, InputType
from embedding_runtime.core.sparse import SparseEmbeddings, embed_sparse
from embedding_runtime.errors import WrongTask
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import AnswerKind, write_suffix
from embedding_runtime.http.tei.texts import TextsRequest, describe_prompt, find_prompt, read_texts
from embedding_runtime.http.vector_encoding import INLINE_VALUES, build_response

# The name under which sentence-transformers' encode_query finds the way of queries.
QUERY = "query"

# Weights beyond which encoding an answer leaves the event loop: each is an object, and costs as much as eight values.
_INLINE_WEIGHTS = INLINE_VALUES // 8


async def create_sparse_embeddings(call: Call) -> Response:
    _require_sparse(call)
    asked = read_texts(call, form=TextsRequest, ids=False)
    serving = call.loaded.model.serving
    wanted = _describe_prompt(call, asked=asked)
    is_query = wanted.name == QUERY or wanted.input_type is InputType.QUERY
    prompt = find_prompt(call, asked=wanted)
    suffix = write_suffix(serving, prompt=prompt, kind=None if serving.task is Task.SPARSE else AnswerKind.SPARSE)
    call.check_pin(suffix)
    found = await embed_sparse(
        call.loaded.engine,
        [text for text in asked.inputs if isinstance(text, str)],
        prompt=prompt,
        by_table=is_query and _has_table(call),
        truncate=asked.truncate,
        side=asked.truncation_direction,
        ahead=call.is_golden_case,
    )
    weights = sum(len(vector.indices) for vector in found.vectors)
    return await build_response(lambda: _encode(found, suffix=suffix), values=weights, inline=_INLINE_WEIGHTS)


def _require_sparse(call: Call) -> None:
    """Raises WrongTask for a model without sparse vectors."""
    call.require_task(Task.SPARSE, Task.EMBEDDING)
    resolved = call.loaded.model.resolved
    if resolved.serving.task is Task.SPARSE:
        return
    if not any(head.kind is TokenHeadKind.SPARSE for head in resolved.inspection.token_heads):
        raise WrongTask("This path is for models with sparse vectors; this one has none: ask POST /v1/embeddings.")


def _describe_prompt(call: Call, *, asked: TextsRequest) -> AskedPrompt:
    """A query of a model with a table is one even where the model has no prompt of that name."""
    if asked.prompt_name == QUERY and _has_table(call) and call.loaded.model.serving.prompt(QUERY) is None:
        return AskedPrompt(input_type=InputType.QUERY)
    return describe_prompt(asked)


def _has_table(call: Call) -> bool:
    """Whether a table weights the tokens of queries in place of the model."""
    head = call.loaded.model.resolved.inspection.sparse
    return head is not None and head.query_weights is not None


def _encode(found: SparseEmbeddings, *, suffix: str) -> Response:
    """A text at a time: as objects of Python the weights take forty times what they take as numbers, and the encoder
    lets no other thread run until it is done.
    """
    texts = (json_response(_describe(vector)).body for vector in found.vectors)
    return Response(status=200, body=b"[" + b",".join(texts) + b"]", space_suffix=suffix, measured=found.measured)


def _describe(vector: SparseVector) -> list[dict[str, Any]]:
    return [
        {"index": index, "value": value} for index, value in zip(vector.indices.tolist(), vector.values, strict=True)
    ]
