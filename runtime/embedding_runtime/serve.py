"""The serving process from start to exit: ports first, then the model, then the gate, then requests, then the drain."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Sequence

from embedding_model.goldens.cases import CaseSet
from embedding_model.ports import GateState
from embedding_model.refusal import Refusal, Unavailable
from embedding_model.resolved import ResolvedModel
from embedding_runtime.clock import AwakeClock
from embedding_runtime.gate.case_sets import read_case_set
from embedding_runtime.gate.self_check import SelfCheck
from embedding_runtime.http.app import App
from embedding_runtime.http.auth.guard import build_guard
from embedding_runtime.http.auth.operator_token import TokenCheck
from embedding_runtime.http.bounded_protocol import Describe, describe_plainly
from embedding_runtime.http.metrics import Metrics
from embedding_runtime.http.private import PrivatePort
from embedding_runtime.http.routing import DIALECTS, Router
from embedding_runtime.http.server import Server, bind, make_server, whole_seconds
from embedding_runtime.http.tei.metrics import publish_metrics
from embedding_runtime.lifecycle import Lifecycle, Phase
from embedding_runtime.loading import load_model
from embedding_runtime.opening import Load, Opened, open_model
from embedding_runtime.served_model import name_revision, read_resolved
from embedding_runtime.settings import ServeSettings
from embedding_runtime.termination import report_failure
from embedding_runtime.waiting import done_before

logger = logging.getLogger(__name__)

# Of the time to finish accepted requests, what is kept for telling those that cannot be computed in it to go elsewhere;
# at most a quarter of it. Their connections would be closed without a word otherwise.
LAST_ANSWERS_SECONDS = 2.0

_VERDICTS = {GateState.PASSED: 1, GateState.FAILED: -1, GateState.PENDING: 0}


async def serve(settings: ServeSettings, *, load: Load = load_model) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. A model that cannot be served is reported, with status 1."""
    try:
        cases = read_case_set(settings.goldens) if settings.goldens else CaseSet(cases=())
        process = Process(settings, cases=cases)
        if settings.resolved:
            process.identify(read_resolved(settings.resolved))
        listeners = _listen(settings)
    except (Refusal, Unavailable) as error:
        return report_failure(error)
    return await process.run(load, listeners=listeners)


class Process:
    """Everything of one serving process, wired together."""

    def __init__(self, settings: ServeSettings, *, cases: CaseSet) -> None:
        self._settings = settings
        self._awake = AwakeClock()
        self._lifecycle = Lifecycle(
            failure_policy=settings.failure_policy,
            audit_grace_seconds=settings.audit_grace_seconds,
            clock=self._awake,
        )
        self._metrics = Metrics()
        self._app = App(
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            max_body_bytes=settings.max_body_bytes,
            max_buffered_bytes=settings.max_buffered_bytes,
            auth=build_guard(settings, name_model=self._name_model),
            router=Router(publish_metrics(DIALECTS, metrics=self._metrics) if settings.public_metrics else DIALECTS),
        )
        self._self_check = SelfCheck(
            self._app,
            cases=cases.cases,
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            seconds=settings.check_seconds,
        )
        self._opened: Opened | None = None
        private = PrivatePort(
            app=self._app,
            lifecycle=self._lifecycle,
            metrics=self._metrics,
            token_check=TokenCheck(settings.keys),
            cases=cases,
            trouble=self._explain_trouble,
        )
        self._public = self._make_server(self._app, describe=self._app.refuse)
        self._private = self._make_server(private.asgi)
        self._metrics.observe("embedding_ready", help_text="1: the pod may take traffic.", value=self._is_ready)
        self._metrics.observe(
            "embedding_verdict",
            help_text="What the operator found of the pod's answers: 1 passed, -1 failed, 0 nothing yet.",
            value=lambda: _VERDICTS[self._lifecycle.verdict],
        )

    def identify(self, resolved: ResolvedModel) -> None:
        """Name space and revision on every response, also while the model is being loaded."""
        self._app.identity = resolved.space, name_revision(resolved)

    def _name_model(self) -> str:
        """The first name that it is served under; before the load, as far as the settings say it."""
        loaded = self._app.loaded
        names = loaded.model.names if loaded else self._settings.served_names
        return next((name.partition("=")[0] for name in names), "(not loaded yet)")

    def _explain_trouble(self) -> str:
        return self._opened.pool.explain_trouble() if self._opened else ""

    def _is_ready(self) -> bool:
        return self._lifecycle.ready and not self._explain_trouble()

    async def run(self, load: Load, *, listeners: Sequence[socket.socket]) -> int:
        """`listeners`: the public and the private port."""
        stop, hurry = _watch_signals()
        ports = [listener.getsockname()[1] for listener in listeners]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip((self._public, self._private), listeners, strict=True)
        ]
        logger.info("listening on port %d, private port %d", *ports)
        beating = asyncio.create_task(self._awake.run())
        opening = asyncio.create_task(self._open(load))
        try:
            if await done_before(stop, task=opening):
                await self._check_until(stop)
                await self._drain(hurry)
            return 0
        except (Refusal, Unavailable) as error:
            return report_failure(error)
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            self._limit_shutdown()
            for server, task in zip((self._public, self._private), serving, strict=True):
                server.should_exit = True  # the public port first: probes and metrics see the end of the drain
                await asyncio.gather(task, return_exceptions=True)
            beating.cancel()
            if self._opened is not None:
                self._opened.close()

    async def _open(self, load: Load) -> None:
        """Load, warm up, check itself, and open."""
        opened = self._opened = await open_model(self._settings, load=load, telemetry=self._metrics)
        self._describe(opened)
        self._app.loaded = opened.loaded
        self._lifecycle.phase = Phase.LOADED
        await self._self_check.run()

    async def _check_until(self, stop: asyncio.Event) -> None:
        checking = asyncio.create_task(self._self_check.repeat())
        try:
            await done_before(stop, task=checking)
            await stop.wait()
        finally:
            checking.cancel()  # what is under way of a check costs no more compute
            await asyncio.gather(checking, return_exceptions=True)

    async def _drain(self, hurry: asyncio.Event) -> None:
        """Out of the Service at once, but accept for a while, for load balancers learn late; the rest is in `run`."""
        self._lifecycle.phase = Phase.DRAINING
        logger.info("shutting down: accepting requests for another %g s", self._settings.drain_seconds)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), self._settings.drain_seconds)

    def _limit_shutdown(self) -> None:
        """Whatever is not computed shortly before the servers cut their connections is answered with 503."""
        if self._opened is None:
            return
        engine, seconds = self._opened.loaded.engine, whole_seconds(self._settings.shutdown_seconds)

        def give_up() -> None:
            left = engine.give_up("The server shuts down before it can answer. Send the request again, elsewhere.")
            if left:
                logger.warning("shutting down: %d requests could not be computed in time and got 503", left)

        asyncio.get_running_loop().call_later(seconds - min(LAST_ANSWERS_SECONDS, seconds / 4), give_up)

    def _describe(self, opened: Opened) -> None:
        metrics, loaded = self._metrics, opened.loaded
        model = loaded.model
        metrics.describe_model(
            space=model.space,
            revision=model.revision,
            device=loaded.device,
            dtype=loaded.dtype,
            path=loaded.path,
            task=model.serving.task,
        )
        if loaded.memory is not None:
            metrics.describe_memory(loaded.memory)
            logger.info("memory of loading: %s", loaded.memory.describe())
        metrics.observe_core(queue=loaded.engine.queue, admission=loaded.engine.admission)
        logger.info(
            "loaded %s on %s (%s, %s), %d workers; seconds: %s",
            ", ".join(model.names),
            loaded.device,
            loaded.dtype,
            loaded.path,
            opened.pool.count,
            opened.seconds,
        )

    def _make_server(self, application: object, *, describe: Describe = describe_plainly) -> Server:
        settings = self._settings
        return make_server(
            application,
            keep_alive_seconds=settings.keep_alive_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            describe=describe,
        )


def _listen(settings: ServeSettings) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    for port in (settings.port, settings.private_port):
        try:
            listeners.append(bind(settings.host, port=port))
        except OSError as error:
            raise Unavailable(f"Cannot listen on port {port} of {settings.host}: {error.strerror}.") from error
    return listeners


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
