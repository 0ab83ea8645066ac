"""The private port: probes and metrics for everybody, golden cases and retirement for the operator."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedding_model import ports
from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import CaseResult, GateState, GoldensReport
from embedding_model.refusal import Refusal
from embedding_model.resolved import Document, Quantization
from embedding_runtime.gate import answer_cases, ask_app, parse_case_set
from embedding_runtime.http.app import App
from embedding_runtime.http.auth.operator_token import Refused, TokenCheck
from embedding_runtime.http.messages import ClientGone, run_while_connected
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.lifecycle import Lifecycle

MAX_TRIAL_BYTES = 8 * 1024 * 1024  # a case set is at most a few ConfigMaps of 900 KiB

Endpoint = Callable[[Request], Awaitable[Response]]


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
        return self._report(self._cases, state=self._lifecycle.gate, results=self._lifecycle.results)

    async def _try_goldens(self, request: Request) -> Response:
        """Another set, answered without effect on readiness: 200 with its report, whether it passes or not.

        Its cases go before the requests that wait, so an operator that gives up must not leave them behind.
        """
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_TRIAL_BYTES:
                return _error(413, f"A case set may have {MAX_TRIAL_BYTES} bytes.")
        try:
            cases = parse_case_set(bytes(data))
        except Refusal as refusal:
            return JSONResponse({"error": refusal.document().model_dump(mode="json")}, status_code=400)
        if self._app.loaded is None:
            return _error(503, self._lifecycle.explain())
        try:
            asking = answer_cases(cases.cases, ask=ask_app(self._app))
            results = await run_while_connected(asking, receive=request.receive)
        except ClientGone:
            return _error(503, "The trial was given up.")  # nobody reads it
        return self._report(cases, state=judge(results), results=results)

    async def _retire(self, request: Request) -> Response:
        self._lifecycle.retired = True
        return Response(status_code=204)

    def _report(self, cases: CaseSet, *, state: GateState, results: tuple[CaseResult, ...]) -> Response:
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
                space=loaded.model.space,
                revision=loaded.model.revision,
                device=loaded.device,
                dtype=loaded.dtype,
                quantization=None if quantization is Quantization.NONE else quantization,
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


def judge(results: tuple[CaseResult, ...]) -> GateState:
    return GateState.PASSED if all(result.passed for result in results) else GateState.FAILED


def render_document(document: Document) -> Response:
    return Response(document.to_json(), media_type="application/json")


def _probe(*, good: bool, detail: str) -> Response:
    return JSONResponse({"ok": good, "detail": detail}, status_code=200 if good else 503)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message}}, status_code=status)
