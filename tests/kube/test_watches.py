"""The informer over a real API server: which changes become keys."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from operator_under_test import CRD
from private_apiserver import PrivateApiServer, private_apiserver

from embedding_operator import handlers
from embedding_operator.informer import Informer
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.connection import load_configuration, load_connection
from embedding_operator.kube.gateway import CONFIG_MAP, Gateway
from embedding_operator.observe.facts import Key

pytestmark = pytest.mark.apiserver

LABEL = "embedding-operator.dev/model"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateApiServer]:
    with private_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        server.install_crd(CRD)
        yield server


@pytest.fixture
async def gateway(server: PrivateApiServer) -> AsyncIterator[Gateway]:
    async with KubernetesGateway(await load_configuration(kubeconfig=server.kubeconfig)) as gateway:
        yield gateway


@asynccontextmanager
async def informed(
    gateway: Gateway,
    *,
    kubeconfig: Path,
    namespaces: tuple[str, ...] = (),
    credentials_seconds: float = 600.0,
    on_login: Callable[[], None] = lambda: None,
) -> AsyncIterator[Counter[Key]]:
    """Keys as they come, by how often."""
    loop = asyncio.get_running_loop()
    seen: Counter[Key] = Counter()

    async def log_in() -> Any:
        on_login()
        return await load_connection(kubeconfig=kubeconfig)

    watches = handlers.Watches(
        on_key=lambda key: loop.call_soon_threadsafe(seen.update, [key]),
        load_connection=log_in,
        namespaces=namespaces,
        credentials_seconds=credentials_seconds,
    )
    informer = Informer(gateway, watch=partial(handlers.watch, watches))
    running = asyncio.create_task(informer.run())
    try:
        yield seen
    finally:
        informer.stop()
        await asyncio.wait_for(running, timeout=30)


async def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def configmap(name: str, *, model: str | None, value: str = "1", namespace: str = "default") -> dict[str, Any]:
    labels = {LABEL: model} if model else {"other": "label"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def model(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"huggingFace": {"repo": "acme/tiny"}}},
    }


async def test_models_and_labelled_children_become_keys_whether_old_or_new(
    server: PrivateApiServer, gateway: Gateway
) -> None:
    await gateway.create(model("old"))
    async with informed(gateway, kubeconfig=server.kubeconfig) as seen:
        await until(lambda: Key("default", "old") in seen)
        await gateway.create(model("new"))
        await until(lambda: Key("default", "new") in seen)
        await gateway.apply(configmap("child", model="parent"))
        await until(lambda: Key("default", "parent") in seen)


async def test_a_child_that_loses_its_label_or_is_deleted_wakes_its_model(
    server: PrivateApiServer, gateway: Gateway
) -> None:
    parent = Key("default", "bereft")
    async with informed(gateway, kubeconfig=server.kubeconfig) as seen:
        await gateway.apply(configmap("stripped", model="bereft"))
        await gateway.apply(configmap("removed", model="bereft"))
        await until(lambda: seen[parent] >= 2)
        seen.clear()
        await gateway.apply(configmap("stripped", model=None))
        await until(lambda: seen[parent] >= 1)
        seen.clear()
        await gateway.delete(CONFIG_MAP, namespace="default", name="removed")
        await until(lambda: seen[parent] >= 1)


async def test_only_the_namespaces_served_are_watched(server: PrivateApiServer, gateway: Gateway) -> None:
    for namespace in ("served", "other"):
        server.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    async with informed(gateway, kubeconfig=server.kubeconfig, namespaces=("served",)) as seen:
        await gateway.apply(configmap("child", model="parent", namespace="other"))
        await gateway.apply(configmap("child", model="parent", namespace="served"))
        await until(lambda: Key("served", "parent") in seen)
    assert Key("other", "parent") not in seen


async def test_after_an_api_server_was_killed_watches_go_on_with_credentials_read_again(
    server: PrivateApiServer, gateway: Gateway
) -> None:
    logins: list[float] = []
    survivor = Key("default", "survivor")
    clock = asyncio.get_running_loop().time
    # Long enough for requests on a busy machine: kopf closes the connections of credentials that expire under it.
    lifetime = 2.0
    async with informed(
        gateway,
        kubeconfig=server.kubeconfig,
        credentials_seconds=lifetime,
        on_login=lambda: logins.append(clock()),
    ) as seen:
        await gateway.apply(configmap("before", model="survivor"))
        # Expired before the kill: a request that is retried keeps the credentials that it began with.
        await until(lambda: survivor in seen and clock() > logins[-1] + lifetime)
        first = len(logins)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        seen.clear()
        await gateway.apply(configmap("after", model="survivor", value="2"))
        # Each failed attempt doubles the wait for the next, and the server may take long to start.
        await until(lambda: survivor in seen and len(logins) > first, seconds=120)
