"""The gate: golden cases answered through the serving path itself, before the pod may take traffic.

Each text goes through the same ASGI application as a client's request, so what is checked is what is served:
tokenising, queueing, batching with other texts, pooling, cutting, normalising and encoding. Only admission and the
deadline do not apply, and a case goes before requests that wait: how busy a pod is must not be taken for a mismatch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import httpx
import orjson
from pydantic import ValidationError

from embedding_model.goldens.cases import CaseSet, GoldenCase, SimilarityCase, VectorCase
from embedding_model.goldens.compare import compare_similarity, compare_vector, decode_vector
from embedding_model.goldens.parse import parse_golden_file
from embedding_model.ports import CaseResult
from embedding_model.refusal import Reason, Refusal
from embedding_runtime.http.app import GOLDEN_CASE, App
from embedding_runtime.http.messages import Receive, Scope, Send

# A worker that hangs turns liveness red, and whoever asks for a trial has a deadline; another clock here would only
# blur the reason.
UNLIMITED = httpx.Timeout(None)

# How one text is answered under a prompt of the model (None: its default): a vector, or in words why there is none.
Ask = Callable[[str, str | None], Awaitable[list[float] | str]]

CONCURRENCY = 16  # cases under way at once: enough for batches to form, as they do in service


def read_case_set(path: Path) -> CaseSet:
    """Golden cases from a file of JSON lines. Raises Refusal: MISSING_FILE, INVALID_GOLDEN."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refusal(
            Reason.MISSING_FILE,
            f"The golden cases {path} cannot be read: {error.strerror}. Nothing is served unchecked.",
        ) from error
    return parse_case_set(data)


def parse_case_set(data: bytes) -> CaseSet:
    """Raises Refusal(INVALID_GOLDEN) that says where, without the user's text."""
    try:
        return parse_golden_file(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(Reason.INVALID_GOLDEN, f"The golden cases are malformed at {where}: {first['msg']}.") from None
    except orjson.JSONDecodeError as error:
        raise Refusal(Reason.INVALID_GOLDEN, f"A line of the golden cases is not JSON: {error.msg}.") from None


async def answer_cases(cases: Sequence[GoldenCase], *, ask: Ask) -> tuple[CaseResult, ...]:
    """One result per case, in their order. A case that could not be answered has failed, with the reason."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def answer(case: GoldenCase) -> CaseResult:
        async with limit:
            return await _answer(case, ask=ask)

    return tuple(await asyncio.gather(*(answer(case) for case in cases)))


def ask_app(app: App) -> Ask:
    """Through the application in this process, also while the gate is shut."""
    loaded = app.loaded
    assert loaded is not None
    serving, model = loaded.model.serving, next(iter(loaded.model.names))

    async def ask(text: str, prompt: str | None) -> list[float] | str:
        if prompt is not None and serving.prompt(prompt) is None:
            return f"the case names the prompt {prompt}, which the model does not have"
        applied = prompt or serving.default_prompt or ""

        async def as_golden_case(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": {GOLDEN_CASE: applied}}, receive, send)

        transport = httpx.ASGITransport(app=as_golden_case)
        async with httpx.AsyncClient(transport=transport, base_url="http://golden-case", timeout=UNLIMITED) as client:
            return await post_text(client, text=text, model=model)

    return ask


async def post_text(client: httpx.AsyncClient, *, text: str, model: str) -> list[float] | str:
    """The vector that the OpenAI route answers for one text, or why there is none."""
    response = await client.post("/v1/embeddings", json={"model": model, "input": text, "encoding_format": "base64"})
    if response.status_code != 200:
        return f"answered with status {response.status_code}: {_read_message(response)}"
    return decode_vector(response.json()["data"][0]["embedding"])


async def _answer(case: GoldenCase, *, ask: Ask) -> CaseResult:
    if not isinstance(case, VectorCase | SimilarityCase):
        detail = f"this server does not answer cases of the kind {case.kind} yet"
        return CaseResult(name=case.name, kind=case.kind, passed=False, detail=detail)
    texts = [case.a, case.b] if isinstance(case, SimilarityCase) else [case.input]
    answered = await asyncio.gather(*(ask(text, case.prompt) for text in texts))
    vectors: list[list[float]] = []
    for answer in answered:
        if isinstance(answer, str):
            return CaseResult(name=case.name, kind=case.kind, passed=False, detail=answer)
        vectors.append(answer)
    if isinstance(case, SimilarityCase):
        return compare_similarity(case, a=vectors[0], b=vectors[1])
    return compare_vector(case, vector=vectors[0])


def _read_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "no message"
