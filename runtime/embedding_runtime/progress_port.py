"""The private port of a process that fetches: how far it is, for the operator."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedding_model import ports
from embedding_model.refusal import Unavailable
from embedding_model.sources.progress import Meter
from embedding_runtime.http.auth.operator_token import TokenCheck
from embedding_runtime.http.private import Guard, render_document
from embedding_runtime.http.server import bind, make_server

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 1


@asynccontextmanager
async def progress_port(meter: Meter, *, keys: Path, host: str, port: int) -> AsyncIterator[None]:
    """Serve `ports.PROGRESS` while the block runs. Raises Unavailable when the port cannot be had."""

    async def show(request: Request) -> Response:
        return render_document(meter.read())

    try:
        listener = bind(host, port=port)
    except OSError as error:
        raise Unavailable(f"Cannot listen on port {port} of {host}: {error.strerror}.") from error
    logger.info("private port %d", listener.getsockname()[1])
    server = make_server(
        Starlette(routes=[Route(ports.PROGRESS, Guard(TokenCheck(keys))(show))]),
        keep_alive_seconds=KEEP_ALIVE_SECONDS,
        shutdown_seconds=SHUTDOWN_SECONDS,
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
