"""Golden cases asked by hand: of a folder, loaded for the purpose, or of a server somewhere."""

from collections.abc import Sequence
from pathlib import Path

import httpx

from embedding_model.goldens.cases import GoldenCase
from embedding_model.goldens.questions import Answer, Question, QuestionKind
from embedding_model.ports import CaseResult
from embedding_model.refusal import Unavailable
from embedding_runtime.core.telemetry import Silent
from embedding_runtime.gate.answering import answer_cases
from embedding_runtime.gate.asking import UNLIMITED, Server, ask_app, post_questions
from embedding_runtime.http.app import App
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle
from embedding_runtime.loading import load_model
from embedding_runtime.opening import open_model
from embedding_runtime.settings import FailurePolicy, ServeSettings


async def check_folder(folder: Path, *, resolved: Path | None, cases: Sequence[GoldenCase]) -> tuple[CaseResult, ...]:
    """Load the folder as `serve` does and ask it. Raises Refusal."""
    settings = ServeSettings(model=folder, resolved=resolved)
    opened = await open_model(settings, load=load_model, telemetry=Silent())
    try:
        lifecycle = Lifecycle(failure_policy=FailurePolicy.BLOCK)
        app = App(
            lifecycle=lifecycle,
            metrics=Metrics(),
            max_body_bytes=settings.max_body_bytes,
            max_buffered_bytes=settings.max_buffered_bytes,
        )
        app.loaded = opened.loaded
        return await answer_cases(cases, ask=ask_app(app))
    finally:
        opened.close()


async def check_server(
    url: str, *, cases: Sequence[GoldenCase], name: str | None, api_key: str | None = None
) -> tuple[CaseResult, ...]:
    """Ask a server on the routes that its clients use. Raises Unavailable when it does not answer.

    A request cannot choose a prompt there, only a served name that applies one; so a case that names a prompt has
    failed unless `name` says which served name to ask.
    """
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    async with httpx.AsyncClient(base_url=url, timeout=UNLIMITED, headers=headers) as client:

        async def ask(question: Question) -> Answer:
            if question.kind is QuestionKind.SPARSE:
                return Answer(error="a server answers numbers of tokens and not their names: check the folder instead")
            if question.prompt is not None and name is None:
                return Answer(
                    error=f"the case names the prompt {question.prompt}: say with --name which served name applies it"
                )
            [answer] = await post_questions(server, questions=[question])
            return answer

        try:
            model = name or (await client.get("/v1/models")).raise_for_status().json()["data"][0]["id"]
            server = Server(client, model, name_terms=lambda ids: [str(id_) for id_ in ids])
            return await answer_cases(cases, ask=ask)
        except httpx.HTTPStatusError as error:
            raise Unavailable(f"The server given by --url answered with {error.response.status_code}.") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            raise Unavailable(f"The server given by --url gave no usable answer: {type(error).__name__}.") from error
