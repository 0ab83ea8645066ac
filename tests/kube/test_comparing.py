"""When what is kept in memory is read, and when the API server is asked instead."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from manual_clock import ManualClock, settle

from embedding_operator.api.names import LABEL_MODEL
from embedding_operator.kube.cache import ObjectCache, Version, read_version
from embedding_operator.kube.caching import CachingGateway
from embedding_operator.kube.comparing import MOST_READ, QUIET_SECONDS, RETRY_SECONDS, Comparer
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    EMBEDDING_MODEL,
    POD,
    Conflict,
    Forbidden,
    GatewayError,
    Kind,
    Object,
)
from embedding_operator.kube.memory import MemoryGateway

NAMESPACE = "search"
OURS = {LABEL_MODEL: "tiny"}


class Server(MemoryGateway):
    """An API server in memory that also lists without contents, unless it is `away`.

    As under the chart's rights, a pod is never got by its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.listed: list[Kind] = []

    async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
        if kind is POD:
            raise Forbidden("cannot get pods", status=403)
        return await super().get(kind, namespace=namespace, name=name)

    async def list_versions(self, kind: Kind, *, namespace: str | None, label: str | None) -> Sequence[Version]:
        if self.away:
            raise GatewayError("no answer")
        self.listed.append(kind)
        items = self.peek_all(kind, namespace=namespace)
        return [read_version(item) for item in items if label is None or label in item["metadata"].get("labels", {})]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def cache() -> ObjectCache:
    return ObjectCache((EMBEDDING_MODEL, POD, CONFIG_MAP))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def comparer(server: Server, cache: ObjectCache, clock: ManualClock) -> Comparer:
    return Comparer(cache, server, namespaces=(), clock=clock)


@asynccontextmanager
async def at_work(comparer: Comparer) -> AsyncIterator[None]:
    task = asyncio.create_task(comparer.run())
    await settle()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def put_pod(server: Server, name: str, **fields: Any) -> Object:
    metadata = {"namespace": NAMESPACE, "name": name, "labels": OURS}
    return server.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **fields})


async def read_pods(server: Server, cache: ObjectCache) -> tuple[set[str], bool]:
    """Names, and whether the API server was asked for them."""
    server.forget_calls()
    items = await CachingGateway(server, cache=cache).list(POD, namespace=NAMESPACE, labels=OURS)
    return {item["metadata"]["name"] for item in items}, bool(server.calls)


async def rounds(clock: ManualClock, count: int) -> None:
    await clock.advance(count * QUIET_SECONDS)


async def test_before_the_watches_have_spoken_the_api_server_is_asked(server: Server, cache: ObjectCache) -> None:
    put_pod(server, "a")
    assert await read_pods(server, cache) == ({"a"}, True)


async def test_once_a_kind_has_been_compared_nothing_is_asked(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    cache.note(POD, None, put_pod(server, "a"))
    async with at_work(comparer):
        await rounds(clock, 2)
        assert await read_pods(server, cache) == ({"a"}, False)


async def test_what_vanished_while_no_watch_lived_is_not_read(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    cache.put(POD, put_pod(server, "gone"))
    server.remove(POD, namespace=NAMESPACE, name="gone")
    cache.note(POD, None, put_pod(server, "a"))
    async with at_work(comparer):
        await rounds(clock, 2)
        assert await read_pods(server, cache) == ({"a"}, False)


async def test_a_watch_that_begins_anew_is_not_read_while_it_tells(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    found = put_pod(server, "a")
    cache.note(POD, None, found)
    async with at_work(comparer):
        await rounds(clock, 2)
        for _ in range(4):
            cache.note(POD, None, found)
            await clock.advance(QUIET_SECONDS / 2)
            assert (await read_pods(server, cache))[1]
        await rounds(clock, 3)
        assert await read_pods(server, cache) == ({"a"}, False)


async def test_a_few_that_the_watch_never_told_are_read(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    put_pod(server, "a")
    async with at_work(comparer):
        await rounds(clock, 3)
        assert await read_pods(server, cache) == ({"a"}, False)


async def test_many_that_the_watch_has_not_told_are_waited_for(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    found = [put_pod(server, f"pod-{number}") for number in range(MOST_READ + 1)]
    async with at_work(comparer):
        await rounds(clock, 5)
        assert not cache.is_trusted(POD)
        for pod in found:
            cache.note(POD, None, pod)
        await rounds(clock, 3)
        assert cache.is_trusted(POD)


async def test_objects_that_come_all_the_time_do_not_keep_a_kind_from_being_trusted(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    async with at_work(comparer):
        for number in range(4):
            put_pod(server, f"new-{number}")
            await rounds(clock, 1)
            for pod in server.peek_all(POD, namespace=NAMESPACE):
                cache.note(POD, "ADDED", pod)
        assert cache.is_trusted(POD)


async def test_while_the_api_server_is_away_nothing_is_trusted_and_then_it_is(
    server: Server, cache: ObjectCache, clock: ManualClock, comparer: Comparer
) -> None:
    server.away = True
    async with at_work(comparer):
        await rounds(clock, 3)
        assert not cache.is_trusted(POD)
        server.away = False
        await clock.advance(RETRY_SECONDS + 3 * QUIET_SECONDS)
        assert cache.is_trusted(POD)


async def test_a_resync_asks_once_for_each_kind_and_heals(
    server: Server, cache: ObjectCache, comparer: Comparer
) -> None:
    cache.put(POD, put_pod(server, "gone"))
    server.remove(POD, namespace=NAMESPACE, name="gone")
    put_pod(server, "missed")
    await comparer.compare_all()
    assert server.listed == [EMBEDDING_MODEL, POD, CONFIG_MAP]
    assert [item["metadata"]["name"] for item in cache.list_all(POD, namespace=None)] == ["missed"]


async def test_a_resync_that_finds_much_unknown_asks_the_api_server_from_then_on(
    server: Server, cache: ObjectCache, comparer: Comparer
) -> None:
    cache.trust(POD, since=cache.begin(POD))
    for number in range(MOST_READ + 1):
        put_pod(server, f"pod-{number}")
    await comparer.compare_all()
    assert not cache.is_trusted(POD)


async def test_a_reconcile_reads_what_it_has_just_written(server: Server, cache: ObjectCache) -> None:
    for kind in cache.kinds:
        cache.trust(kind, since=cache.begin(kind))
    gateway = CachingGateway(server, cache=cache)
    metadata = {"namespace": NAMESPACE, "name": "keys", "labels": OURS}
    await gateway.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}})
    server.forget_calls()
    [found] = await gateway.list(CONFIG_MAP, namespace=NAMESPACE, labels=OURS)
    assert (found["data"], server.calls) == ({"a": "1"}, ())


async def test_a_child_is_asked_for_by_name_at_the_api_server(server: Server, cache: ObjectCache) -> None:
    cache.trust(CONFIG_MAP, since=cache.begin(CONFIG_MAP))
    metadata = {"namespace": NAMESPACE, "name": "foreign"}
    server.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    found = await CachingGateway(server, cache=cache).get(CONFIG_MAP, namespace=NAMESPACE, name="foreign")
    assert found is not None


@pytest.mark.parametrize("is_made_again", [True, False])
async def test_a_child_that_has_gone_unheard_of_is_looked_for_at_the_api_server_from_then_on(
    server: Server, cache: ObjectCache, is_made_again: bool
) -> None:
    gateway = CachingGateway(server, cache=cache)
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": NAMESPACE, "name": "keys", "labels": OURS},
        "data": {"a": "1"},
    }
    written = await gateway.apply(manifest)
    cache.trust(CONFIG_MAP, since=cache.begin(CONFIG_MAP))
    server.remove(CONFIG_MAP, namespace=NAMESPACE, name="keys")
    if is_made_again:
        server.put(manifest)
    with pytest.raises(Conflict):
        await gateway.apply({**manifest, "metadata": {**manifest["metadata"], "uid": written["metadata"]["uid"]}})
    assert len(await gateway.list(CONFIG_MAP, namespace=NAMESPACE, labels=OURS)) == is_made_again
