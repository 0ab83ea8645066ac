"""The Job that inspects and hashes a volume: serves its result until it is deleted.

The result stays readable for as long as the pod runs, so that an operator that restarts can read it again; a refusal
is a result too, never an exit.
"""

import asyncio
import logging
import signal
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedding_model import ports
from embedding_model.inspection import inspect
from embedding_model.ports import JobReport, JobState
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import InspectionResult
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_runtime.http.private import Guard, render_document
from embedding_runtime.http.server import bind, make_server
from embedding_runtime.http.token import TokenCheck
from embedding_runtime.termination import report_failure
from embedding_runtime.waiting import done_before, in_daemon_thread

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 5


def inspect_folder(folder: Path) -> InspectionResult:
    """What the model is, and the hash of every file that would be loaded. Raises Refusal, Unavailable."""
    source = FolderSource(folder)
    inspection = inspect(source)  # first: what cannot be served is refused without hashing gigabytes
    return InspectionResult(
        origin=source.origin, manifest=build_manifest(source, paths=select(source)), inspection=inspection
    )


async def serve_report(folder: Path, *, keys: Path | None, host: str, port: int) -> int:
    """Inspect, and serve the report until SIGTERM; the exit status, 1 when the volume could not be read.

    SIGTERM does not wait for the inspection: hashing a large volume may outlast any grace period.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    holder = _Holder()
    listener = bind(host, port=port)
    logger.info("private port %d", listener.getsockname()[1])
    server = make_server(
        _make_app(holder, keys=keys), keep_alive_seconds=KEEP_ALIVE_SECONDS, shutdown_seconds=SHUTDOWN_SECONDS
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    inspecting = asyncio.create_task(_report(folder))
    try:
        if await done_before(stop, task=inspecting):
            holder.report = inspecting.result()
            logger.info("inspection: %s", holder.report.state)
            await stop.wait()
        return 0
    except Unavailable as error:  # a volume that could not be read just now: a new pod tries again
        return report_failure(error)
    finally:
        inspecting.cancel()
        server.should_exit = True
        await serving


class _Holder:
    def __init__(self) -> None:
        self.report = JobReport(state=JobState.RUNNING)


async def _report(folder: Path) -> JobReport:
    try:
        return JobReport(
            state=JobState.DONE, result=await in_daemon_thread(lambda: inspect_folder(folder), name="inspect")
        )
    except Refusal as refusal:
        return JobReport(state=JobState.REFUSED, refusal=refusal.document())


def _make_app(holder: _Holder, *, keys: Path | None) -> Starlette:
    async def probe(request: Request) -> Response:
        return JSONResponse({"ok": True, "detail": holder.report.state})

    async def show(request: Request) -> Response:
        return render_document(holder.report)

    guard = Guard(TokenCheck(keys))
    probes = [Route(path, probe) for path in (ports.STARTUP, ports.READY, ports.LIVE)]
    return Starlette(routes=[*probes, Route(ports.RESULT, guard(show))])
