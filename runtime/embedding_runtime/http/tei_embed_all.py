"""TEI's POST /embed_all: a vector for each token of each text.

TEI answers the last hidden states, special tokens among them, as they are. So does this route, with one exception: of a
model with a head for such vectors (bge-m3) it answers what that head makes of them, one normalised vector for each
token but the first. Those are the vectors that the model was trained to compare; nobody compares its hidden states.
"""

import asyncio

from embedding_model.resolved import Task
from embedding_runtime.core.prompts import choose_prompt
from embedding_runtime.core.token_vectors import embed_tokens
from embedding_runtime.http.dialect import Call
from embedding_runtime.http.messages import Response, json_response
from embedding_runtime.http.tei_texts import describe_prompt, read_texts


async def create_token_embeddings(call: Call) -> Response:
    call.require_task(Task.EMBEDDING)
    call.check_pin("")
    asked = read_texts(call)
    found = await embed_tokens(
        call.loaded.engine,
        asked.inputs,
        prompt=choose_prompt(describe_prompt(call, asked=asked), serving=call.loaded.model.serving),
        truncate=asked.truncate,
        ahead=call.is_golden_case,
    )
    return await asyncio.to_thread(json_response, found.vectors)  # hundreds of kilobytes for one text
