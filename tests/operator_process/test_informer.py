"""The informer's supervision, over watches that fail, hang, or end when they are told to."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from manual_clock import ManualClock

from embedding_operator import handlers
from embedding_operator.informer import END_SECONDS, SERVED_CHECK_SECONDS, Informer, Watch, WatchesHang
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.observe.facts import Key

DISCOVERY = "/apis/embedding-operator.dev/v1alpha1"


class ServedOrNot(MemoryGateway):
    """Discovery lists our kind while `is_served`."""

    def __init__(self) -> None:
        super().__init__(paths={DISCOVERY: {"resources": [{"name": "embeddingmodels"}]}, "/none": {"resources": []}})
        self.is_served = True

    async def get_path(self, path: str) -> dict[str, object]:
        return dict(await super().get_path(path if self.is_served else "/none"))


@pytest.fixture
def gateway() -> ServedOrNot:
    return ServedOrNot()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(gateway: ServedOrNot, watch: Watch, *, clock: ManualClock | None = None) -> AsyncIterator[None]:
    """The informer at work; afterwards it is told to stop, and must end."""
    informer = Informer(gateway, watch=watch, clock=clock)
    running = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        informer.stop()
        await asyncio.wait_for(running, timeout=30)


class Watches:
    """Every life waits for its stop in a thread of its loop, as kopf does, and ends as `endings` say; then it lives."""

    def __init__(self, *endings: BaseException) -> None:
        self._endings = list(endings)
        self.started = 0

    def __call__(self, *, stop: threading.Event) -> Awaitable[None]:
        return self._live(stop)

    async def _live(self, stop: threading.Event) -> None:
        self.started += 1
        waiting = asyncio.get_running_loop().run_in_executor(None, stop.wait)
        if self._endings:
            await asyncio.sleep(0)
            raise self._endings.pop(0)
        await waiting


async def test_watches_that_fail_are_started_again_though_a_thread_of_theirs_waits_for_their_stop(
    gateway: ServedOrNot,
) -> None:
    watches = Watches(ConnectionError("refused"))
    async with supervised(gateway, watches):
        await until(lambda: watches.started == 2)


async def test_kopf_that_no_api_server_answers_is_started_again(gateway: ServedOrNot) -> None:
    lives: set[threading.Thread] = set()

    async def log_in() -> Connection:
        lives.add(threading.current_thread())
        return Connection(
            server="http://127.0.0.1:9",
            verify=True,
            ca_path=None,
            token="token",
            certificate_path=None,
            private_key_path=None,
            proxy_url=None,
        )

    def ignore(key: Key) -> None:
        raise AssertionError(f"there is no API server that could tell of {key}")

    watches = handlers.Watches(on_key=ignore, load_connection=log_in)
    async with supervised(gateway, partial(handlers.watch, watches)):
        await until(lambda: len(lives) > 1)


async def test_watches_end_when_the_crd_goes_and_begin_when_it_is_back(gateway: ServedOrNot) -> None:
    clock, watches = ManualClock(), Watches()
    async with supervised(gateway, watches, clock=clock):
        await until(lambda: watches.started == 1)
        gateway.is_served = False
        await clock.advance(SERVED_CHECK_SECONDS)
        await until(lambda: "informer" not in [thread.name for thread in threading.enumerate()])
        await clock.advance(60)
        assert watches.started == 1
        gateway.is_served = True
        await clock.advance(SERVED_CHECK_SECONDS)
        await until(lambda: watches.started == 2)


async def test_a_stop_while_the_crd_is_awaited_starts_no_watch(gateway: ServedOrNot) -> None:
    clock, watches = ManualClock(), Watches()
    gateway.is_served = False
    informer = Informer(gateway, watch=watches, clock=clock)
    running = asyncio.create_task(informer.run())
    await clock.advance(5)
    informer.stop()
    await clock.advance(5)
    await asyncio.wait_for(running, timeout=30)
    assert watches.started == 0


async def test_watches_that_do_not_end_after_their_stop_end_the_supervision(gateway: ServedOrNot) -> None:
    clock, release, started = ManualClock(), threading.Event(), threading.Event()

    async def hang(*, stop: threading.Event) -> None:
        started.set()
        release.wait()

    informer = Informer(gateway, watch=hang, clock=clock)
    running = asyncio.create_task(informer.run())
    await until(started.is_set)
    gateway.is_served = False
    await clock.advance(SERVED_CHECK_SECONDS + END_SECONDS)
    release.set()
    with pytest.raises(WatchesHang, match="have not ended"):
        await asyncio.wait_for(running, timeout=30)
