"""The process of a Job that resolves a model or computes its reference: serves its result until it is deleted.

The result stays readable for as long as the pod runs, so that an operator that restarts can read it again. A refusal is
a result too, and an exit only where the pod holds what others wait for.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedding_model import ports
from embedding_model.ports import JobReport, JobState, ReferenceSet
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import InspectionResult
from embedding_model.sources.progress import Meter
from embedding_runtime.fetch_process import logged
from embedding_runtime.http.auth.operator_token import TokenCheck
from embedding_runtime.http.private import Guard, render_document
from embedding_runtime.http.server import bind, make_server
from embedding_runtime.termination import report_failure
from embedding_runtime.waiting import done_before, in_daemon_thread

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 5

Result = InspectionResult | ReferenceSet
Work = Callable[[Meter], Result]


async def serve_result(work: Work, *, keys: Path | None, host: str, port: int, ends_refused: bool = False) -> int:
    """Do the work, and serve the report until SIGTERM; the exit status, 1 when something was unavailable that may heal.

    `ends_refused`: a refusal is not served, but ends the process with ports.EXIT_REFUSED, its words as the container's
    last ones: for a pod that holds a device.
    SIGTERM does not wait for the work: hashing a large volume may outlast any grace period. Raises OSError when the
    port cannot be had.
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
    working = asyncio.create_task(_report(work, meter=holder.meter, serves_refusals=not ends_refused))
    try:
        with logged(holder.meter):
            is_done = await done_before(stop, task=working)
        if is_done:
            holder.report = working.result()
            logger.info("result: %s", holder.report.state)
            await stop.wait()
        return 0
    except Unavailable as error:  # what could not be read just now: a new pod tries again
        return report_failure(error)
    except Refusal as refusal:
        report_failure(refusal)
        return ports.EXIT_REFUSED
    finally:
        working.cancel()
        server.should_exit = True
        await serving


class _Holder:
    def __init__(self) -> None:
        self.meter = Meter()
        self.report: JobReport | None = None

    def show(self) -> JobReport:
        if self.report is not None:
            return self.report
        progress = self.meter.read()
        return JobReport(state=JobState.RUNNING, progress=progress if progress.files else None)


async def _report(work: Work, *, meter: Meter, serves_refusals: bool) -> JobReport:
    try:
        found = await in_daemon_thread(lambda: work(meter), name="work")
    except Refusal as refusal:
        if not serves_refusals:
            raise
        return JobReport(state=JobState.REFUSED, refusal=refusal.document())
    if isinstance(found, ReferenceSet):
        return JobReport(state=JobState.DONE, reference=found)
    return JobReport(state=JobState.DONE, result=found)


def _make_app(holder: _Holder, *, keys: Path | None) -> Starlette:
    async def probe(request: Request) -> Response:
        return JSONResponse({"ok": True, "detail": holder.show().state})

    async def show(request: Request) -> Response:
        return render_document(holder.show())

    guard = Guard(TokenCheck(keys))
    probes = [Route(path, probe) for path in (ports.STARTUP, ports.READY, ports.LIVE)]
    return Starlette(routes=[*probes, Route(ports.RESULT, guard(show))])
