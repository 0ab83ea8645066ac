"""A private API server and a hub with a tiny model per module; the operator as a process."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hub_in_process import hub_with_model
from operator_under_test import OperatorWorld, operator_world
from private_apiserver import private_apiserver
from tiny_models import tiny_embedder

REPO = "acme/tiny"


@pytest.fixture(scope="module")
def namespaces() -> Sequence[str]:
    """The namespaces that the module's operators serve; a module may say otherwise."""
    return ()


@pytest.fixture(scope="module")
def module_world(
    tmp_path_factory: pytest.TempPathFactory, kubectl: Path, helm: Path, namespaces: Sequence[str]
) -> Iterator[OperatorWorld]:
    folder = tmp_path_factory.mktemp("world")
    with (
        hub_with_model(folder, tiny_embedder(), repo=REPO) as hub,
        private_apiserver(folder) as server,
        operator_world(
            folder, server=server, kubectl=kubectl, helm=helm, hub_url=hub.url, namespaces=namespaces
        ) as world,
    ):
        yield world


@pytest.fixture
def world(module_world: OperatorWorld) -> Iterator[OperatorWorld]:
    """The module's world without any replica or Lease. No garbage collector runs: take a model name of your own."""
    try:
        yield module_world
    finally:
        module_world.stop_all()
        module_world.forget_lease()
