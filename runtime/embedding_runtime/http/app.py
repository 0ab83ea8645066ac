"""The public port: finds the handler, and gives every response, errors too, the headers of the contract."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from embedding_model import ports
from embedding_runtime.errors import (
    BodyTimeout,
    BodyTooLarge,
    MethodNotAllowed,
    NotReady,
    RequestError,
    Unauthorized,
    UnknownRoute,
)
from embedding_runtime.http.auth import Auth
from embedding_runtime.http.body import PATIENCE, BodyBudget, Patience, read_body
from embedding_runtime.http.crossings import Document
from embedding_runtime.http.dialect import PATHS, Call, Loaded, Route
from embedding_runtime.http.errors import INTERNAL, render
from embedding_runtime.http.measured_headers import measured_headers
from embedding_runtime.http.messages import (
    ClientGone,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    run_while_connected,
)
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.openapi.routes import PAGE_PATH, make_pages
from embedding_runtime.http.routing import Place, Router, Target
from embedding_runtime.lifecycle import Lifecycle
from embedding_runtime.settings import FailurePolicy

logger = logging.getLogger(__name__)

# A key in the ASGI scope's state that only this process can set: the request is a golden case, which is answered while
# the gate is still shut. Its value is the name of the prompt to apply, empty for none.
GOLDEN_CASE = "golden_case"

_KNOWN_PATHS = "; ".join(f"{task}: {' or '.join(paths)}" for task, paths in PATHS.items())
_NO_SUCH_PATH = f"There is no such path here. {_KNOWN_PATHS}; models: GET /v1/models; all: GET {PAGE_PATH}."

# After these the rest of the body is not read.
_BODY_IS_LEFT = (BodyTimeout, BodyTooLarge, Unauthorized)

# A client that keeps its connection would come back to a pod that is out of its Service for as long as it lives.
_ENDS_CONNECTION = (*_BODY_IS_LEFT, NotReady)

CONTENT_TYPE = b"content-type"
CLOSE = (b"connection", b"close")
UNVERIFIED = (ports.VERIFIED_HEADER.encode(), b"false")
SPACE = ports.SPACE_HEADER.encode()
REVISION = ports.REVISION_HEADER.encode()


class App:
    """An ASGI application. `loaded` is set once the model can answer. `auth` None: everybody may ask.

    `identity`, space and revision, may be known before that; responses name them from then on.
    """

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        metrics: Metrics,
        max_body_bytes: int,
        max_buffered_bytes: int,
        body_patience: Patience = PATIENCE,
        auth: Auth | None = None,
        router: Router | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.identity: tuple[str, str] | None = None
        self.router = router or Router()
        self.router.add_pages(make_pages(self.router, secured=auth is not None))
        self._loaded: Loaded | None = None
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._bodies = BodyBudget(limit=max_buffered_bytes)
        self._body_patience = body_patience
        self._auth = auth
        self._clock = clock

    @property
    def loaded(self) -> Loaded | None:
        return self._loaded

    @loaded.setter
    def loaded(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self.identity = loaded.model.space, loaded.model.revision

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the servers run without lifespan and websockets"
        started = self._clock()
        exchange = _Exchange(scope, place=self.router.find(scope["path"]), epoch=self._lifecycle.epoch)
        unverified = self._lifecycle.unverified
        close = self._lifecycle.closing
        failure: RequestError | None = None
        try:
            response = await self._answer(exchange, receive=receive)
        except ClientGone:
            self._metrics.client_gone(dialect=exchange.dialect)
            return
        except RequestError as error:
            failure = error
            response = self._render(error, target=exchange.target)
            close = close or isinstance(error, _ENDS_CONNECTION)
        except Exception:
            logger.exception("a request failed with an unexpected error")
            failure = INTERNAL
            response = self._render(INTERNAL, target=exchange.target)
        seconds = self._clock() - started
        if not exchange.is_golden_case:
            self._metrics.request_done(
                dialect=exchange.dialect,
                route=exchange.path,
                status=response.status,
                model=response.model,
                seconds=seconds,
                measured=response.measured,
                failure=None if failure is None else type(failure),
            )
        headers = self._headers(
            response,
            seconds=seconds,
            close=close or self._lifecycle.closing,
            unverified=unverified or self._lifecycle.unverified or exchange.epoch != self._lifecycle.epoch,
        )
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def refuse(self, error: RequestError, path: str) -> Response:
        """The whole answer to what the server could not read as a request, or could not read on, which ends the
        connection. `path` is empty where it is not known.
        """
        response = self._render(error, target=self.router.find(path).targets[0])
        headers = self._headers(response, seconds=0, close=True, unverified=self._lifecycle.unverified)
        return replace(response, headers=tuple(headers))

    async def _answer(self, exchange: "_Exchange", *, receive: Receive) -> Response:
        route = exchange.find_route()
        if self._auth is not None and not (route.open or exchange.is_golden_case):
            self._auth.check(Request(exchange.scope).header(b"authorization"))
        loaded = self._require_open(exchange)
        prompt = exchange.prompt
        if exchange.scope["method"] != "POST":
            return await route.handler(Call(Request(exchange.scope), loaded=loaded, prompt=prompt))
        with self._bodies.hold(always=exchange.is_golden_case) as held:
            body = await read_body(
                exchange.scope, receive=receive, limit=self._max_body_bytes, held=held, patience=self._body_patience
            )
            request = Request(exchange.scope, body)
            document = request.parse_json()
            route = exchange.choose_route(document)
            strict = exchange.target.strict
            call = Call(request, loaded=loaded, document=document, prompt=prompt, strict=strict)
            response = await run_while_connected(route.handler(call), receive=receive)
        self._require_open(exchange)
        self._require_vouched(exchange)
        return response

    def _require_open(self, exchange: "_Exchange") -> Loaded:
        """Raises NotReady for a client's request while the gate is shut."""
        if self.loaded is None or not (self._lifecycle.answering or exchange.is_golden_case):
            raise NotReady(f"Not ready: {self._lifecycle.explain()}.", retry_after=2)
        return self.loaded

    def _require_vouched(self, exchange: "_Exchange") -> None:
        """Raises NotReady for what was being computed while the pod was found to be wrong, and shut: it may have passed
        again since."""
        is_vouched = exchange.epoch == self._lifecycle.epoch or exchange.is_golden_case
        if not is_vouched and self._lifecycle.failure_policy is FailurePolicy.BLOCK:
            raise NotReady("The server answered wrongly while it computed this. Send it again.", retry_after=2)

    def _render(self, error: RequestError, *, target: Target) -> Response:
        return render(error, bodies=self.router.error_bodies(target), statuses=target.dialect.statuses)

    def _headers(
        self, response: Response, *, seconds: float, close: bool, unverified: bool
    ) -> list[tuple[bytes, bytes]]:
        headers = [(b"content-length", str(len(response.body)).encode()), *response.headers]
        if not any(name == CONTENT_TYPE for name, _ in response.headers):
            headers.append((CONTENT_TYPE, b"application/json"))
        if response.measured is not None:
            headers += measured_headers(response.measured, total_seconds=seconds)
        if self.identity is not None:
            space, revision = self.identity
            headers.append((SPACE, (space + response.space_suffix).encode()))
            headers.append((REVISION, revision.encode()))
        if unverified and self._lifecycle.failure_policy is FailurePolicy.WARN:
            headers.append(UNVERIFIED)
        if close:
            headers.append(CLOSE)
        return headers


class _Exchange:
    """A request on its way: to the first dialect of its path, until its body says to which. `epoch` is that in which it
    came."""

    def __init__(self, scope: Scope, *, place: Place, epoch: int) -> None:
        self.scope = scope
        self.epoch = epoch
        self.target = place.targets[0]
        self._place = place
        self.prompt: str | None = scope.get("state", {}).get(GOLDEN_CASE)

    @property
    def is_golden_case(self) -> bool:
        return self.prompt is not None

    @property
    def dialect(self) -> str:
        return self.target.dialect.name

    @property
    def path(self) -> str:
        """For metrics: empty for a path that nobody has, which a client may make up, as it may slashes at its end and
        the name in a pattern.
        """
        path: str = self._place.pattern or self.scope["path"]
        return path.rstrip("/") or "/" if self.target.methods else ""

    def find_route(self) -> Route:
        """Raises UnknownRoute, MethodNotAllowed."""
        methods = self.target.methods
        if not methods:
            raise UnknownRoute(_NO_SUCH_PATH)
        method: str = self.scope["method"]
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(f"This path takes {', '.join(methods)}.", allowed=tuple(methods))
        return route

    def choose_route(self, document: Document) -> Route:
        self.target = self._place.targets[self._place.choose(document)]
        return self.find_route()
