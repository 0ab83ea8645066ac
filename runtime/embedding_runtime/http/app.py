"""The public port: finds the handler, and gives every response, errors too, the headers of the contract."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from embedding_model import ports
from embedding_runtime.errors import BodyTooLarge, MethodNotAllowed, NotReady, RequestError, UnknownRoute
from embedding_runtime.http.body import BodyBudget, read_body
from embedding_runtime.http.dialect import PATHS, Call, Dialect, Handler, Loaded
from embedding_runtime.http.errors import INTERNAL, render
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
from embedding_runtime.http.native import NATIVE
from embedding_runtime.http.openai import OPENAI
from embedding_runtime.http.tei import TEI
from embedding_runtime.lifecycle import Lifecycle

logger = logging.getLogger(__name__)

DIALECTS: Sequence[Dialect] = (OPENAI, TEI, NATIVE)

# A key in the ASGI scope's state that only this process can set: the request is a golden case, which is answered while
# the gate is still shut. Its value is the name of the prompt to apply, empty for none.
GOLDEN_CASE = "golden_case"

_KNOWN_PATHS = "; ".join(f"{task}: {' or '.join(paths)}" for task, paths in PATHS.items())
_NO_SUCH_PATH = f"There is no such path here. {_KNOWN_PATHS}; models: GET /v1/models."

JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
UNVERIFIED = (ports.VERIFIED_HEADER.encode(), b"false")
SPACE = ports.SPACE_HEADER.encode()
REVISION = ports.REVISION_HEADER.encode()


class App:
    """An ASGI application. `loaded` is set once the model can answer.

    `identity`, space and revision, may be known before that; responses name them from then on.
    """

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        metrics: Metrics,
        max_body_bytes: int,
        max_buffered_bytes: int,
        dialects: Sequence[Dialect] = DIALECTS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.identity: tuple[str, str] | None = None
        self._loaded: Loaded | None = None
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._bodies = BodyBudget(limit=max_buffered_bytes)
        self._clock = clock
        self._routes: Mapping[str, tuple[Dialect, Mapping[str, Handler]]] = {
            path: (dialect, methods) for dialect in dialects for path, methods in dialect.routes.items()
        }

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
        dialect, methods = self._routes.get(scope["path"], (OPENAI, None))
        close = self._lifecycle.closing
        try:
            response = await self._answer(scope, receive=receive, methods=methods)
        except ClientGone:
            self._metrics.client_gone(dialect=dialect.name)
            return
        except RequestError as error:
            response = render(error, body=dialect.error_body, statuses=dialect.statuses)
            close = close or isinstance(error, BodyTooLarge)  # the rest of the body is not read
        except Exception:
            logger.exception("a request failed with an unexpected error")
            response = render(INTERNAL, body=dialect.error_body, statuses=dialect.statuses)
        if GOLDEN_CASE not in scope.get("state", {}):
            self._metrics.request_done(
                dialect=dialect.name, status=response.status, model=response.model, seconds=self._clock() - started
            )
        headers = self._headers(response, close=close or self._lifecycle.closing)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _answer(self, scope: Scope, *, receive: Receive, methods: Mapping[str, Handler] | None) -> Response:
        if methods is None:
            raise UnknownRoute(_NO_SUCH_PATH)
        handler = methods.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if handler is None:
            raise MethodNotAllowed(f"This path takes {', '.join(methods)}.")
        state = scope.get("state", {})
        if self.loaded is None or not (self._lifecycle.answering or GOLDEN_CASE in state):
            raise NotReady(f"Not ready: {self._lifecycle.explain()}.", retry_after=2)
        prompt = state.get(GOLDEN_CASE)
        if scope["method"] != "POST":
            return await handler(Call(request=Request(scope), loaded=self.loaded, prompt=prompt))
        with self._bodies.hold(always=GOLDEN_CASE in state) as held:
            body = await read_body(scope, receive=receive, limit=self._max_body_bytes, held=held)
            call = Call(request=Request(scope, body), loaded=self.loaded, prompt=prompt)
            return await run_while_connected(handler(call), receive=receive)

    def _headers(self, response: Response, *, close: bool) -> list[tuple[bytes, bytes]]:
        headers = [JSON, (b"content-length", str(len(response.body)).encode()), *response.headers]
        if self.identity is not None:
            space, revision = self.identity
            headers.append((SPACE, (space + response.space_suffix).encode()))
            headers.append((REVISION, revision.encode()))
        if self._lifecycle.unverified:
            headers.append(UNVERIFIED)
        if close:
            headers.append(CLOSE)
        return headers
