"""TEI's POST /embed_all: a vector for each token of each text.

TEI answers the last hidden states, special tokens among them, as they are. So does this route, with one exception: of a
model with a head for such vectors (bge-m3) it answers what that head makes of them, one normalised vector for each
token but the first. Those are the vectors that the model was trained to compare; nobody compares its hidden states.
"""

import asyncio

from embedding_model.resolved import Task
from embedding_runtime.core.jobs import Vectors
from embedding_runtime.core.token_vectors import TokenEmbeddings, embed_tokens
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.space_suffix import AnswerKind, write_suffix
from embedding_runtime.http.tei.texts import TextsRequest, describe_prompt, find_prompt, read_texts
from embedding_runtime.http.vector_encoding import INLINE_VALUES


async def create_token_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    asked = read_texts(call, form=TextsRequest)
    resolved = call.loaded.model.resolved
    prompt = find_prompt(call, asked=describe_prompt(asked))
    suffix = write_suffix(resolved.serving, prompt=prompt, kind=AnswerKind.TOKENS)
    call.check_pin(suffix)
    found = await embed_tokens(
        call.loaded.engine,
        asked.inputs,
        resolved=resolved,
        prompt=prompt,
        truncate=asked.truncate,
        side=asked.truncation_direction,
        ahead=call.is_golden_case,
    )
    return await asyncio.to_thread(_encode, found, suffix=suffix)  # hundreds of kilobytes for one text


def _encode(found: TokenEmbeddings, *, suffix: str) -> Response:
    """A piece at a time: the encoder lets no other thread run, the event loop's among them, until it is done."""
    body = b"[" + b",".join(_encode_text(vectors) for vectors in found.vectors) + b"]"
    return Response(status=200, body=body, space_suffix=suffix, measured=found.measured)


def _encode_text(vectors: Vectors) -> bytes:
    step = max(1, INLINE_VALUES // max(1, vectors.shape[1]))
    pieces = (json_response(vectors[start : start + step]).body[1:-1] for start in range(0, len(vectors), step))
    return b"[" + b",".join(pieces) + b"]"
