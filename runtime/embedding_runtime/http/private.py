"""The private port: probes and metrics for everybody, golden cases, audits and retirement for the operator."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.goldens.questions import AnswerSheet, QuestionSheet
from embedding_model.ports import CaseResult, GateState, GoldensReport, RetireOrder, Verdict
from embedding_model.refusal import Refusal
from embedding_model.resolved import Document, Quantization
from embedding_runtime.clock import name_now
from embedding_runtime.gate import NotAsked, answer_cases, answer_questions, ask_app, parse_case_set
from embedding_runtime.http.app import App
from embedding_runtime.http.auth.operator_token import Refused, TokenCheck
from embedding_runtime.http.dialect import Loaded
from embedding_runtime.http.messages import ClientGone, run_while_connected
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle, judge

logger = logging.getLogger(__name__)

MAX_TRIAL_BYTES = 8 * 1024 * 1024  # a case set is at most a few ConfigMaps of 900 KiB
MAX_VERDICT_BYTES = 64 * 1024
MAX_ORDER_BYTES = 4 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]
Sent = TypeVar("Sent", bound=Document)
T = TypeVar("T")


class _Unusable(Exception):
    """A body, or a moment, that the route cannot answer; `response` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = _error(status, message)


class PrivatePort:
    """Routes of a serving pod. `trouble` says why its workers cannot go on, or nothing."""

    def __init__(
        self,
        *,
        app: App,
        lifecycle: Lifecycle,
        metrics: Metrics,
        token_check: TokenCheck,
        cases: CaseSet,
        trouble: Callable[[], str],
    ) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._cases = cases
        self._trouble = trouble
        guard = Guard(token_check)
        self.asgi = Starlette(
            routes=[
                Route(ports.STARTUP, self._startup),
                Route(ports.READY, self._ready),
                Route(ports.LIVE, self._live),
                Route(ports.METRICS, self._scrape),
                Route(ports.GOLDENS, guard(self._show_goldens), methods=["GET"]),
                Route(ports.GOLDENS, guard(self._try_goldens), methods=["POST"]),
                Route(ports.ANSWERS, guard(self._answer), methods=["POST"]),
                Route(ports.VERDICT, guard(self._take_verdict), methods=["POST"]),
                Route(ports.RETIRE, guard(self._retire), methods=["POST"]),
            ]
        )

    async def _startup(self, request: Request) -> Response:
        return _probe(good=self._lifecycle.loaded, detail=self._lifecycle.explain())

    async def _ready(self, request: Request) -> Response:
        trouble = self._trouble()
        return _probe(good=self._lifecycle.ready and not trouble, detail=trouble or self._lifecycle.explain())

    async def _live(self, request: Request) -> Response:
        trouble = self._trouble()
        return _probe(good=not trouble, detail=trouble or "ok")

    async def _scrape(self, request: Request) -> Response:
        return Response(self._metrics.render(), headers={"content-type": self._metrics.content_type})

    async def _show_goldens(self, request: Request) -> Response:
        lifecycle = self._lifecycle
        return self._report(self._cases, state=lifecycle.gate, results=lifecycle.results, at=lifecycle.checked_at)

    async def _try_goldens(self, request: Request) -> Response:
        """Another set, answered without effect on readiness: 200 with its report, whether it passes or not.

        Its cases go before the requests that wait, so an operator that gives up must not leave them behind.
        """
        try:
            data = await _read_body(request, limit=MAX_TRIAL_BYTES, what="A case set")
            cases = parse_case_set(data)
            self._require_loaded()
            results = await _work_for(request, answer_cases(cases.cases, ask=ask_app(self._app)))
        except Refusal as refusal:
            return JSONResponse({"error": refusal.document().model_dump(mode="json")}, status_code=400)
        except _Unusable as unusable:
            return unusable.response
        return self._report(cases, state=judge(results), results=results, at=name_now())

    async def _answer(self, request: Request) -> Response:
        """Questions of the operator's audit, answered as a client's would be, also while the pod is shut.

        A sheet without any says that the operator is there, and the pod's audit on its way.
        """
        try:
            data = await _read_body(request, limit=ports.MAX_QUESTION_BYTES, what="A sheet of questions")
            questions = _parse(QuestionSheet, data).questions
            if len(questions) > ports.MAX_QUESTIONS:
                raise _Unusable(413, f"A sheet may have {ports.MAX_QUESTIONS} questions, {len(questions)} came.")
            loaded = self._require_loaded()
            epoch = self._lifecycle.epoch  # before: a fault that is found meanwhile may be in any of the answers
            with self._lifecycle.audited():
                answers = await _work_for(request, answer_questions(questions, ask=ask_app(self._app)))
        except _Unusable as unusable:
            return unusable.response
        boot_id, space = self._lifecycle.boot_id, loaded.model.space
        return render_document(AnswerSheet(boot_id=boot_id, space=space, answers=answers, epoch=epoch or None))

    async def _take_verdict(self, request: Request) -> Response:
        lifecycle = self._lifecycle
        try:
            verdict = _parse(Verdict, await _read_body(request, limit=MAX_VERDICT_BYTES, what="A verdict"))
            self._require_loaded()
            self._require_this(verdict.boot_id, what="The verdict")
            if verdict.case_set != self._cases.name:
                raise _Unusable(409, f"The verdict is of the case set {verdict.case_set}; mounted: {self._cases.name}.")
            if verdict.passed and (verdict.epoch or 0) != lifecycle.epoch:
                raise _Unusable(
                    409, "The verdict is of answers from before this pod failed, or recovered. Ask it again."
                )
        except _Unusable as unusable:
            return unusable.response
        before = lifecycle.verdict
        lifecycle.record_verdict(passed=verdict.passed, reason=verdict.reason)
        if lifecycle.verdict is not before:
            level = logging.INFO if verdict.passed else logging.ERROR
            logger.log(level, "the operator's verdict: %s", "passed" if verdict.passed else verdict.reason)
        return Response(status_code=204)

    async def _retire(self, request: Request) -> Response:
        lifecycle = self._lifecycle
        try:
            order = _parse(RetireOrder, await _read_body(request, limit=MAX_ORDER_BYTES, what="An order to retire"))
            self._require_this(order.boot_id, what="The order to retire")
        except _Unusable as unusable:
            return unusable.response
        if order.retired != lifecycle.retired:
            lifecycle.retired = order.retired
            logger.info("every response %s", "ends its connection" if order.retired else "leaves its connection open")
        return Response(status_code=204)

    def _require_this(self, boot_id: str, *, what: str) -> None:
        """Raises _Unusable where another process is meant."""
        if boot_id != self._lifecycle.boot_id:
            raise _Unusable(409, f"{what} is of the process {boot_id}; this is {self._lifecycle.boot_id}.")

    def _require_loaded(self) -> Loaded:
        """Raises _Unusable while the model is being loaded."""
        if self._app.loaded is None:
            raise _Unusable(503, self._lifecycle.explain())
        return self._app.loaded

    def _report(self, cases: CaseSet, *, state: GateState, results: tuple[CaseResult, ...], at: str | None) -> Response:
        loaded = self._app.loaded
        if loaded is None:
            return _error(503, self._lifecycle.explain())
        quantization = loaded.model.serving.quantization
        return render_document(
            GoldensReport(
                boot_id=self._lifecycle.boot_id,
                case_set=cases.name,
                state=state,
                results=results,
                checked_at=at,
                verdict=self._lifecycle.verdict,
                space=loaded.model.space,
                revision=loaded.model.revision,
                device=loaded.device,
                dtype=loaded.dtype,
                quantization=None if quantization is Quantization.NONE else quantization,
                retired=self._lifecycle.retired or None,
            )
        )


class Guard:
    """Wraps an endpoint so that only the operator's token gets through."""

    def __init__(self, token_check: TokenCheck) -> None:
        self._token_check = token_check

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            try:
                self._token_check.check(request.headers.get("authorization"))
            except Refused as refused:
                return _error(refused.status, refused.message)
            return await endpoint(request)

        return guarded


async def _read_body(request: Request, *, limit: int, what: str) -> bytes:
    """Raises _Unusable for more than `limit` bytes, and where the client goes before it has sent all."""
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > limit:
                raise _Unusable(413, f"{what} may have {limit} bytes.")
    except ClientDisconnect:
        raise _Unusable(400, f"{what} was not sent to its end.") from None  # nobody reads it
    return bytes(data)


def _parse(form: type[Sent], data: bytes) -> Sent:
    """Raises _Unusable that says where, without what was sent."""
    try:
        return form.from_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its beginning"
        raise _Unusable(400, f"The {form.__name__} is malformed at {where}: {first['msg']}.") from None


async def _work_for(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, as long as somebody waits for it. Raises _Unusable.

    Questions that the pod cannot take just now must not look like answers: whoever asked would judge them.
    """
    try:
        return await run_while_connected(work, receive=request.receive)
    except NotAsked as error:
        raise _Unusable(503, f"The questions could not be asked: {error}") from None
    except ClientGone:
        raise _Unusable(503, "The questions were given up.") from None  # nobody reads it


def render_document(document: Document) -> Response:
    return Response(document.to_json(), media_type="application/json")


def _probe(*, good: bool, detail: str) -> Response:
    return JSONResponse({"ok": good, "detail": detail}, status_code=200 if good else 503)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status)
