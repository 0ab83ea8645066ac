"""One operator process from start to end: wait for the Lease, work, and leave cleanly.

start -> standby -> leading -> stopping -> exit 0      SIGTERM or SIGINT at any point
                       |-----> exit 1 at once          the Lease is lost, or a task that must not end has ended
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from embedding_model.sources.polling import Polled
from embedding_operator import handlers
from embedding_operator.audit.auditor import Auditor
from embedding_operator.audit.client import PodClient
from embedding_operator.audit.key_data import KeyData
from embedding_operator.audit.quarantine_log import QuarantineLog
from embedding_operator.audit.retirement import Retirement
from embedding_operator.audit.token import AccountTokens
from embedding_operator.health import BEAT_SECONDS, Health, HealthServer
from embedding_operator.inbox import Inbox
from embedding_operator.informer import Informer, Watch, list_keys, resync
from embedding_operator.kube.cache import ObjectCache
from embedding_operator.kube.caching import CachingGateway
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.comparing import Comparer, VersionedGateway
from embedding_operator.kube.connection import load_configuration, load_connection
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Gateway, GatewayError
from embedding_operator.lease import Elector, LeaseLost
from embedding_operator.live_facts import LiveFacts
from embedding_operator.metrics import Metrics
from embedding_operator.observe.facts import Facts, Key, ResolutionRequest, Resolved
from embedding_operator.reconcile.outcome import Outcome
from embedding_operator.reconcile.restorations import RestorationLog
from embedding_operator.resolve.hub import poll_branch, resolve_from_hub
from embedding_operator.resolve.resolver import Resolver
from embedding_operator.resolve.threads import ThreadedAsk
from embedding_operator.resolve.tracker import BranchQuestion, Tracker
from embedding_operator.settings import Settings
from embedding_operator.workqueue import WorkQueue

logger = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1

Reconcile = Callable[[Key, Gateway, Facts], Awaitable[Outcome]]


@dataclass
class _Leader:
    """Everything that works while this process leads."""

    queue: WorkQueue[Key]
    informer: Informer
    ask: ThreadedAsk[ResolutionRequest, Resolved]
    poll: ThreadedAsk[BranchQuestion, Polled]
    resolver: Resolver
    tracker: Tracker
    auditor: Auditor | None
    retirement: Retirement | None
    client: PodClient | None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    working: asyncio.Task[None] = field(init=False)

    def start(self, name: str, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_await(work))
        task.set_name(name)
        self.tasks.append(task)
        return task


async def run_operator(settings: Settings, *, reconcile: Reconcile, kubeconfig: Path | None = None) -> int:
    """Run until a signal or a lost Lease; the exit code.

    Raises:
        ConnectionSettingsError: no credentials for an API server.
        OSError: a port is taken.
    """
    stop = asyncio.Event()
    health, metrics = Health(), Metrics()
    async with AsyncExitStack() as stack:
        server = HealthServer(health, port=settings.health_port)
        stack.callback(server.close)
        if settings.metrics_port:
            metrics.serve(settings.metrics_port)
        gateway = await stack.enter_async_context(
            KubernetesGateway(await load_configuration(kubeconfig=kubeconfig), on_call=metrics.record_call)
        )
        stack.enter_context(_signals_set(stop))
        elector = Elector(gateway, namespace=settings.namespace, identity=settings.identity, settings=settings.lease)
        heart = asyncio.create_task(_beat(health), name="heartbeat of a standby")
        health.set_ready(True)
        if not await _acquire(elector, stop=stop):
            heart.cancel()
            return EXIT_OK
        heart.cancel()
        metrics.record_leader(True)
        watches = partial(
            handlers.Watches,
            load_connection=partial(load_connection, kubeconfig=kubeconfig),
            namespaces=tuple(settings.watch_namespaces),
        )
        return await _lead(
            settings,
            gateway=gateway,
            elector=elector,
            reconcile=reconcile,
            watches=watches,
            health=health,
            metrics=metrics,
            stop=stop,
        )


async def _acquire(elector: Elector, *, stop: asyncio.Event) -> bool:
    """Whether this process leads now; False when it was told to stop first."""
    acquiring = asyncio.create_task(elector.acquire(), name="acquire the Lease")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if acquiring.done():
        acquiring.result()
        return True
    acquiring.cancel()
    await asyncio.gather(acquiring, return_exceptions=True)
    await elector.release()  # the write that was cancelled may have taken it
    return False


async def _lead(
    settings: Settings,
    *,
    gateway: VersionedGateway,
    elector: Elector,
    reconcile: Reconcile,
    watches: Callable[..., handlers.Watches],
    health: Health,
    metrics: Metrics,
    stop: asyncio.Event,
) -> int:
    leader = _assemble(settings, gateway=gateway, reconcile=reconcile, watches=watches, health=health, metrics=metrics)
    holding = leader.start("hold the Lease", elector.hold())
    stopping = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait({*leader.tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
    health.set_ready(False)
    for task in ended - {stopping}:
        error = task.exception()
        if isinstance(error, LeaseLost):
            # Another replica may write by now: no cleanup, no waiting.
            logger.error("stopping at once: %s", error)
            _exit(EXIT_FAILED)
        logger.critical("stopping: the task %s has ended", task.get_name(), exc_info=error)
    if stopping in ended:
        logger.info("stopping: told to")
    await _stop(leader, holding=holding, settings=settings)
    await elector.release()
    return EXIT_OK if ended == {stopping} else EXIT_FAILED


def _assemble(
    settings: Settings,
    *,
    gateway: VersionedGateway,
    reconcile: Reconcile,
    watches: Callable[..., handlers.Watches],
    health: Health,
    metrics: Metrics,
) -> _Leader:
    """Build the parts and start their tasks."""
    loop = asyncio.get_running_loop()
    namespaces = tuple(settings.watch_namespaces)
    cache = ObjectCache((EMBEDDING_MODEL, *handlers.CHILD_KINDS))
    cached = CachingGateway(gateway, cache=cache)
    comparer = Comparer(cache, gateway, namespaces=namespaces)

    async def work(key: Key) -> Outcome:
        auditing = leader.auditor.round_of(key) if leader.auditor else nullcontext()
        retiring = leader.retirement.round_of(key) if leader.retirement else nullcontext()
        with leader.resolver.round_of(key), leader.tracker.round_of(key), auditing, retiring:
            return await reconcile(key, cached, facts)

    queue: WorkQueue[Key] = WorkQueue(
        work, workers=settings.workers, timeout=settings.reconcile_timeout, on_outcome=metrics.record_reconcile
    )
    ask = ThreadedAsk(
        partial(resolve_from_hub, settings=settings),
        hub_of=lambda request: request.origin.mirror,
        mirrors=settings.mirrors,
    )
    resolver = Resolver(ask, on_change=queue.add, on_result=metrics.record_resolution)
    poll = ThreadedAsk(
        partial(poll_branch, settings=settings),
        hub_of=lambda question: question.branch.mirror,
        mirrors=settings.mirrors,
    )
    tracker = Tracker(poll, on_change=queue.add, poll_seconds=settings.poll_seconds, on_result=metrics.record_poll)
    tokens, client, auditor, retirement = None, None, None, None
    if settings.service_account is not None:
        tokens = AccountTokens(gateway, namespace=settings.namespace, account=settings.service_account)
        client = PodClient(tokens=tokens)
        retirement = Retirement(client, on_change=queue.add)
        auditor = Auditor(
            client, on_change=queue.add, audit_seconds=settings.audit_seconds, on_audit=metrics.record_audit
        )
    new_keys = asyncio.Event()
    key_data = KeyData(gateway, tokens=tokens, namespace=settings.namespace, on_change=new_keys.set)
    facts = LiveFacts(
        resolver=resolver,
        tracker=tracker,
        auditor=auditor,
        key_data=key_data,
        quarantine_log=QuarantineLog(on_quarantine=metrics.record_quarantine),
        restoration_log=RestorationLog(),
        retirement=retirement,
    )
    inbox = Inbox(loop, deliver=queue.add)
    watch = partial(handlers.watch, watches(on_key=inbox.add, on_object=cache.note))
    informer = Informer(gateway, watch=_doubting(cache, watch=watch))
    leader = _Leader(
        queue=queue,
        informer=informer,
        ask=ask,
        poll=poll,
        resolver=resolver,
        tracker=tracker,
        auditor=auditor,
        retirement=retirement,
        client=client,
    )
    leader.working = leader.start("workqueue", queue.run())
    leader.start("informer", leader.informer.run())
    leader.start("comparison", comparer.run())
    leader.start("key data", key_data.run())
    leader.start("key data changes", _enqueue_all(cached, namespaces=namespaces, on=new_keys, queue=queue))
    leader.start("heartbeat", _beat(health, metrics=metrics, queue=queue))
    leader.start(
        "resync",
        resync(
            cached,
            compare=comparer.compare_all,
            namespaces=namespaces,
            seconds=settings.resync_seconds,
            add_after=lambda key, seconds: queue.add_after(key, seconds=seconds),
        ),
    )
    return leader


def _doubting(cache: ObjectCache, *, watch: Watch) -> Watch:
    """While no watch lives, nothing is read from memory."""

    async def watch_and_doubt(*, stop: threading.Event) -> None:
        cache.doubt(*cache.kinds)
        try:
            await watch(stop=stop)
        finally:
            cache.doubt(*cache.kinds)

    return watch_and_doubt


async def _stop(leader: _Leader, *, holding: asyncio.Task[None], settings: Settings) -> None:
    """Let running reconciles end, renewing the Lease meanwhile; then cancel everything."""
    leader.informer.stop()
    leader.queue.stop()
    try:
        await await_work(leader.working, holding=holding, seconds=settings.shutdown_seconds)
    except LeaseLost as error:
        logger.error("stopping at once: %s", error)
        _exit(EXIT_FAILED)
    for task in leader.tasks:
        task.cancel()
    await asyncio.gather(*leader.tasks, return_exceptions=True)
    await leader.resolver.close()
    await leader.tracker.close()
    leader.ask.close()
    leader.poll.close()
    if leader.auditor is not None:
        await leader.auditor.close()
    if leader.retirement is not None:
        await leader.retirement.close()
    if leader.client is not None:
        await leader.client.close()


async def await_work(working: asyncio.Task[None], *, holding: asyncio.Task[None], seconds: float) -> None:
    """Until `working` has ended, or `seconds` have passed, or nobody holds the Lease any more.

    Raises:
        LeaseLost: another replica may write by now.
    """
    await asyncio.wait({working, holding}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if holding.done() and not holding.cancelled() and isinstance(error := holding.exception(), LeaseLost):
        raise error


async def _enqueue_all(
    gateway: Gateway, *, namespaces: tuple[str, ...], on: asyncio.Event, queue: WorkQueue[Key]
) -> None:
    """Reconcile every model whenever `on` is set: something that all of them depend on has changed."""
    while True:
        await on.wait()
        on.clear()
        try:
            for key in await list_keys(gateway, namespaces=namespaces):
                queue.add(key)
        except GatewayError as error:
            logger.warning("cannot list the models: %s; the resync will see them", error.message)


async def _beat(health: Health, *, metrics: Metrics | None = None, queue: WorkQueue[Key] | None = None) -> None:
    while True:
        age = 0.0
        if queue is not None:
            state = queue.state
            age = state.oldest_seconds
            if metrics is not None:
                metrics.record_queue(state)
        health.beat(queue_age=age)
        await asyncio.sleep(BEAT_SECONDS)


@contextmanager
def _signals_set(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _exit(code: int) -> None:
    logging.shutdown()
    os._exit(code)


async def _await(work: Awaitable[None]) -> None:
    await work
