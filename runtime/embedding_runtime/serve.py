"""The serving process from start to exit: ports first, then the model, then the gate, then requests, then the drain."""

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState
from embedding_model.refusal import Refusal
from embedding_runtime.backends.workers import WorkerPool
from embedding_runtime.core.admission import Admission
from embedding_runtime.core.engine import Engine
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.core.queue import TokenQueue
from embedding_runtime.gate import answer_cases, read_case_set
from embedding_runtime.http.app import App
from embedding_runtime.http.dialect import Loaded
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.private import PrivatePort, judge
from embedding_runtime.http.server import Server, bind, make_server
from embedding_runtime.http.token import TokenCheck
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.loading import LoadedModel, load_model
from embedding_runtime.settings import ServeSettings
from embedding_runtime.termination import REFUSED, report_refusal

logger = logging.getLogger(__name__)

T = TypeVar("T")

Load = Callable[[ServeSettings], LoadedModel]


async def serve(settings: ServeSettings, *, load: Load = load_model) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. A model that cannot be served is reported, with status 1."""
    try:
        cases = read_case_set(settings.goldens) if settings.goldens else CaseSet(cases=())
        process = Process(settings, cases=cases)
    except Refusal as refusal:
        report_refusal(refusal)
        return REFUSED
    return await process.run(load)


class Process:
    """Everything of one serving process, wired together."""

    def __init__(self, settings: ServeSettings, *, cases: CaseSet) -> None:
        self._settings = settings
        self._cases = cases
        self._lifecycle = Lifecycle(failure_policy=settings.failure_policy)
        self._metrics = Metrics()
        self._app = App(lifecycle=self._lifecycle, metrics=self._metrics, max_body_bytes=settings.max_body_bytes)
        self._pool: WorkerPool | None = None
        self._engine: Engine | None = None
        private = PrivatePort(
            app=self._app,
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            token_check=TokenCheck(settings.keys),
            cases=cases,
            hung=lambda: self._pool.hung() if self._pool else 0,
        )
        self._public = self._make_server(self._app)
        self._private = self._make_server(private.asgi)
        self._metrics.observe(
            "embedding_ready", help_text="1: the pod may take traffic.", value=lambda: self._lifecycle.ready
        )

    async def run(self, load: Load) -> int:
        settings = self._settings
        stop, hurry = _watch_signals()
        listeners = [bind(settings.host, port=settings.port), bind(settings.host, port=settings.private_port)]
        ports = [listener.getsockname()[1] for listener in listeners]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip((self._public, self._private), listeners, strict=True)
        ]
        logger.info("listening on port %d, private port %d", *ports)
        opening = asyncio.create_task(self._open(load))
        try:
            if await _first(opening, stop=stop):
                await _first(None, stop=stop)
                await self._drain(hurry)
            return 0
        except Refusal as refusal:
            report_refusal(refusal)
            return REFUSED
        finally:
            opening.cancel()
            self._public.should_exit = self._private.should_exit = True
            await asyncio.gather(*serving, opening, return_exceptions=True)
            if self._engine is not None:
                self._engine.close()

    async def _open(self, load: Load) -> None:
        """Load, warm up, ask the golden cases, and open."""
        loaded = await _in_thread(lambda: load(self._settings), name="load")
        queue = TokenQueue(max_batch_tokens=loaded.max_batch_tokens)
        admission = Admission(max_queue_tokens=self._settings.max_queue_tokens)
        engine = self._engine = Engine(
            tokenizer=loaded.tokenizer,
            serving=loaded.model.serving,
            queue=queue,
            admission=admission,
            telemetry=self._metrics,
            timeout_seconds=self._settings.request_timeout_seconds,
            threads=loaded.workers,
        )
        pool = WorkerPool(
            backend=loaded.backend, queue=queue, count=loaded.workers, hang_seconds=self._settings.hang_seconds
        )
        largest = _largest_batch(loaded)
        await _in_thread(lambda: pool.start(outcome=engine, warm_up=largest), name="warm-up")
        self._pool = pool
        self._describe(loaded, queue=queue, admission=admission)
        self._app.loaded = Loaded(
            model=loaded.model,
            engine=engine,
            device=loaded.backend.device,
            dtype=loaded.backend.dtype,
            path=loaded.backend.path,
        )
        self._lifecycle.phase = Phase.LOADED
        await self._ask_goldens()

    async def _ask_goldens(self) -> None:
        lifecycle = self._lifecycle
        lifecycle.results = await answer_cases(self._app, cases=self._cases.cases)
        lifecycle.gate = judge(lifecycle.results)
        self._metrics.golden_results(lifecycle.results)
        if lifecycle.gate is GateState.PASSED:
            logger.info("ready: %d golden cases passed", len(lifecycle.results))
        else:
            word = "serving unverified" if lifecycle.unverified else "not serving"
            logger.error("%s: %s", word, lifecycle.explain() if not lifecycle.unverified else "golden cases failed")

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Out of the Service at once, but accept for a while, for load balancers learn late; the rest is in `run`."""
        self._lifecycle.phase = Phase.DRAINING
        logger.info("shutting down: accepting requests for another %g s", self._settings.drain_seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), self._settings.drain_seconds)

    def _describe(self, loaded: LoadedModel, *, queue: TokenQueue, admission: Admission) -> None:
        metrics, model, backend = self._metrics, loaded.model, loaded.backend
        metrics.describe_model(
            space=model.space, revision=model.revision, device=backend.device, dtype=backend.dtype, path=backend.path
        )
        for name, help_text, value in (
            ("embedding_queue_tokens", "Tokens that wait for a worker.", lambda: queue.tokens),
            ("embedding_queue_oldest_age_seconds", "How long the oldest text has waited.", queue.oldest_age),
            ("embedding_admitted_tokens", "Tokens admitted and not yet answered.", lambda: admission.tokens),
        ):
            metrics.observe(name, help_text=help_text, value=value)
        logger.info(
            "loaded %s on %s (%s, %s), %d workers, %d tokens a batch; seconds: %s",
            ", ".join(model.names),
            backend.device,
            backend.dtype,
            backend.path,
            loaded.workers,
            loaded.max_batch_tokens,
            loaded.seconds,
        )

    def _make_server(self, application: object) -> Server:
        settings = self._settings
        return make_server(
            application, keep_alive_seconds=settings.keep_alive_seconds, shutdown_seconds=settings.shutdown_seconds
        )


def _largest_batch(loaded: LoadedModel) -> Sequence[Tokens]:
    """As many texts of the maximum length as fit a batch: what memory must hold, before the first request comes."""
    [filler] = loaded.tokenizer.encode(["warm " * loaded.tokenizer.max_tokens])
    return [filler] * max(1, loaded.max_batch_tokens // len(filler.ids))


def _watch_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """SIGTERM sets `stop`; SIGINT, or a second SIGTERM, also sets `hurry`, which skips the wait of the drain."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def terminate() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    def interrupt() -> None:
        hurry.set()
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    return stop, hurry


async def _first(task: "asyncio.Task[None] | None", *, stop: asyncio.Event) -> bool:
    """Wait for the task or the stop. True when the task came first (or there is none); raises what it raised."""
    stopped = asyncio.create_task(stop.wait())
    try:
        waiting: set[asyncio.Task[None] | asyncio.Task[bool]] = {stopped} if task is None else {stopped, task}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if task is not None and task.done():
            task.result()
        return task is None or task.done()
    finally:
        stopped.cancel()


async def _in_thread(work: Callable[[], T], *, name: str) -> T:
    """Like asyncio.to_thread, in a daemon thread: a process told to stop does not wait for an import."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = (work(), None)
        except BaseException as error:
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future
