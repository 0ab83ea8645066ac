"""TEI's POST /embed_sparse: the weights of the tokens of the vocabulary that are not 0.

TEI answers it for SPLADE alone. Here it is also the sparse part of an embedder that has a head for it (bge-m3).
"""

import asyncio
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from embedding_model.resolved import Task, TokenHeadKind
from embedding_runtime.core.jobs import SparseVector
from embedding_runtime.core.prompts import AskedPrompt, InputType, choose_prompt
from embedding_runtime.core.sparse import SparseEmbeddings, embed_sparse
from embedding_runtime.errors import EmptyInput, WrongTask
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.validation import validate

# The name under which sentence-transformers' encode_query finds the way of queries.
QUERY = "query"

# Values beyond which encoding an answer leaves the event loop (about a millisecond of work).
_INLINE_VALUES = 8192


class SparseRequest(BaseModel):
    """`truncate`: whether a text that is too long is cut (the default) or refused.

    `prompt_name`: one of the model's prompts. `input_type`, ours: whether the texts are queries or documents. Neither:
    the model's default prompt. Where queries have a table in place of inference, either of them asks for it with
    "query". Unknown fields are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    inputs: list[str]
    truncate: bool = True
    prompt_name: str | None = None
    input_type: InputType | None = None

    @field_validator("inputs", mode="before")
    @classmethod
    def check_inputs(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise ValueError("must be a text or a list of texts")
        return value


async def create_sparse_embeddings(call: Call) -> Response:
    _require_sparse(call)
    call.check_pin("")
    asked = validate(call.request.parse_json(), form=SparseRequest)
    if not asked.inputs:
        raise EmptyInput("inputs: must hold at least one text.", param="inputs")
    wanted = _describe_prompt(call, asked=asked)
    is_query = wanted.name == QUERY or wanted.input_type is InputType.QUERY
    found = await embed_sparse(
        call.loaded.engine,
        asked.inputs,
        prompt=choose_prompt(wanted, serving=call.loaded.model.serving),
        by_table=is_query and _has_table(call),
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )
    small = sum(len(vector.indices) for vector in found.vectors) <= _INLINE_VALUES
    return _encode(found) if small else await asyncio.to_thread(_encode, found)


def _require_sparse(call: Call) -> None:
    """Raises WrongTask for a model without sparse vectors."""
    call.require_task(Task.SPARSE, Task.EMBEDDING)
    resolved = call.loaded.model.resolved
    if resolved.serving.task is Task.SPARSE:
        return
    if not any(head.kind is TokenHeadKind.SPARSE for head in resolved.inspection.token_heads):
        raise WrongTask("This path is for models with sparse vectors; this one has none: ask POST /v1/embeddings.")


def _describe_prompt(call: Call, *, asked: SparseRequest) -> AskedPrompt:
    """What the request says of the prompt, or the golden case in its place, or else the model's default."""
    if call.prompt is not None:
        return AskedPrompt(name=call.prompt) if call.prompt else AskedPrompt(text="")
    if asked.prompt_name is None and asked.input_type is None:
        return AskedPrompt(name=call.loaded.model.serving.default_prompt)
    if asked.prompt_name == QUERY and _has_table(call) and call.loaded.model.serving.prompt(QUERY) is None:
        return AskedPrompt(input_type=InputType.QUERY)
    return AskedPrompt(name=asked.prompt_name, input_type=asked.input_type)


def _has_table(call: Call) -> bool:
    """Whether a table weights the tokens of queries in place of the model."""
    head = call.loaded.model.resolved.inspection.sparse
    return head is not None and head.query_weights is not None


def _encode(found: SparseEmbeddings) -> Response:
    return json_response([_describe(vector) for vector in found.vectors])


def _describe(vector: SparseVector) -> list[dict[str, Any]]:
    return [
        {"index": index, "value": value} for index, value in zip(vector.indices.tolist(), vector.values, strict=True)
    ]
