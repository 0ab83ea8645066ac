"""Keeps the watches alive: starts them when our CRD is served, and again whenever they end.

kopf runs in a thread with an event loop of its own. It cancels every task of its loop when it ends, so it must not
share ours; and a flood of events cannot delay the Lease.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from embedding_operator.clock import Clock, MonotonicClock, backoff
from embedding_operator.kube.gateway import EMBEDDING_MODEL, Gateway, GatewayError
from embedding_operator.observe.facts import Key

logger = logging.getLogger(__name__)

WAIT_FOR_CRD_SECONDS: Final = 2.0
# The API server keeps the watches of a deleted CRD open and silent for two minutes, so its discovery document, which it
# has in memory, is read this often to notice sooner.
SERVED_CHECK_SECONDS: Final = 5.0
FIRST_RESTART_SECONDS: Final = 1.0
MAX_RESTART_SECONDS: Final = 30.0
# As aiohttp's documentation of graceful shutdown advises.
TLS_CLOSE_SECONDS: Final = 0.25
# kopf gives its own tasks some ten seconds to end; a name that is looked up can hold a thread a while longer.
END_SECONDS: Final = 30.0
# Watches that lived this long were healthy: the next restart begins at the first delay again.
HEALTHY_SECONDS: Final = 60.0


class Watch(Protocol):
    """Runs watches until `stop` is set, or raises."""

    def __call__(self, *, stop: threading.Event) -> Awaitable[None]: ...


class WatchesHang(Exception):
    """Watches that were told to end, or failed, have not ended: only a new process is rid of them."""


class Informer:
    """`run` supervises until it is cancelled or `stop` is called."""

    def __init__(self, gateway: Gateway, *, watch: Watch, clock: Clock | None = None) -> None:
        self._gateway = gateway
        self._watch = watch
        self._clock = clock or MonotonicClock()
        self._stopping = False
        self._unserved = False  # our CRD is gone: that is what ends, or has ended, the watches
        self._stop_watch = threading.Event()

    async def run(self) -> None:
        """Watch, again and again.

        Raises:
            WatchesHang: the caller must end the process.
        """
        failures = 0
        while not self._stopping:
            await self._wait_until_served()
            if self._stopping:
                return
            started = self._clock.monotonic()
            self._unserved = False
            error = await self._watch_to_the_end()
            if self._stopping:
                return
            if self._unserved:
                continue
            failures = 1 if self._clock.monotonic() - started > HEALTHY_SECONDS else failures + 1
            seconds = backoff(failures, first=FIRST_RESTART_SECONDS, limit=MAX_RESTART_SECONDS)
            # No stack: what ends the watches is the API server's doing, and its words say it.
            logger.warning("the watches ended (%s); starting them again in %.1f s", _describe(error), seconds)
            await self._clock.sleep(seconds)

    def stop(self) -> None:
        self._stopping = True
        self._stop_watch.set()

    async def _wait_until_served(self) -> None:
        """Our CRD may come after the operator, or be deleted and restored under it."""
        said = False
        while not self._stopping:
            try:
                if await _is_served(self._gateway):
                    return
                reason = "the CRD is not installed, or not established yet"
            except GatewayError as error:
                reason = error.message
            if not said:
                logger.warning("waiting until %s are served: %s", EMBEDDING_MODEL.plural, reason)
                said = True
            await self._clock.sleep(WAIT_FOR_CRD_SECONDS)

    async def _watch_to_the_end(self) -> BaseException | None:
        """Run the watches until they end; what ended them, or None. Raises WatchesHang."""
        stop = self._stop_watch = threading.Event()
        ended = self._start_watch(stop)
        supervising = asyncio.create_task(self._supervise(stop), name="supervise the watches")
        try:
            both: set[asyncio.Future[Any]] = {ended, supervising}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                supervising.result()
            return await ended
        finally:
            supervising.cancel()

    async def _supervise(self, stop: threading.Event) -> None:
        """Stop the watches when our CRD is gone. Raises WatchesHang when they have not ended long after a stop."""
        while not stop.is_set():
            await self._clock.sleep(SERVED_CHECK_SECONDS)
            with suppress(GatewayError):  # an API server that does not answer says nothing about our CRD
                if not stop.is_set() and not await _is_served(self._gateway):
                    self._unserved = True
                    stop.set()
        await self._clock.sleep(END_SECONDS)
        raise WatchesHang(f"the watches have not ended within {END_SECONDS:.0f} s")

    def _start_watch(self, stop: threading.Event) -> asyncio.Future[BaseException | None]:
        """Run the watches in a thread; the future holds what ended them, or None."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def run() -> None:
            error: BaseException | None = None
            try:
                asyncio.run(_run_to_its_end(self._watch(stop=stop), stop=stop))
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # our loop is closed: the process is ending
                loop.call_soon_threadsafe(_set, ended, error)

        # A daemon: nothing that kopf waits for may keep a process alive that has lost its Lease.
        threading.Thread(target=run, name="informer", daemon=True).start()
        return ended


async def list_keys(gateway: Gateway, *, namespaces: tuple[str, ...]) -> list[Key]:
    """The keys of all models served, from one list per namespace."""
    scopes: tuple[str | None, ...] = namespaces or (None,)
    keys = []
    for scope in scopes:
        for item in await gateway.list(EMBEDDING_MODEL, namespace=scope, labels={}):
            keys.append(Key(namespace=item["metadata"]["namespace"], name=item["metadata"]["name"]))
    return keys


async def resync(
    gateway: Gateway,
    *,
    namespaces: tuple[str, ...],
    seconds: float,
    add_after: Callable[[Key, float], None],
    compare: Callable[[], Awaitable[None]] | None = None,
    clock: Clock | None = None,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Put every model on the queue about every `seconds` (+-20 %), spread over a tenth of that; never returns.

    `compare` comes before it: it brings what is kept in memory up to date. What the watches missed, and what is not
    watched at all (the user's golden ConfigMaps), is seen at the latest here.
    """
    clock = clock or MonotonicClock()
    while True:
        await clock.sleep(seconds * (0.8 + 0.4 * jitter()))
        if compare is not None:
            try:
                await compare()
            except GatewayError as error:
                logger.warning("cannot compare what is kept in memory at a resync: %s", error.message)
        try:
            for key in await list_keys(gateway, namespaces=namespaces):
                add_after(key, seconds / 10 * jitter())
        except GatewayError as error:
            logger.warning("cannot list the models for a resync: %s", error.message)


async def _is_served(gateway: Gateway) -> bool:
    try:
        found = await gateway.get_path(f"/apis/{EMBEDDING_MODEL.api_version}")
    except GatewayError as error:
        if error.status == 404:
            return False
        raise
    return any(resource.get("name") == EMBEDDING_MODEL.plural for resource in found.get("resources") or ())


async def _run_to_its_end(watching: Awaitable[None], *, stop: threading.Event) -> None:
    try:
        await watching
    finally:
        # kopf waits for the event in threads of its loop, and the loop waits for its threads before it closes.
        stop.set()
        # The TLS connections of cancelled watches close in the background of the loop, which ends with us.
        await asyncio.sleep(TLS_CLOSE_SECONDS)


def _set(future: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not future.done():
        future.set_result(error)


def _describe(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}" if error is not None else "without an error"
