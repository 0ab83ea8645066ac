"""A private API server, a hub with a tiny model, and the operator as a process."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hub.server import running
from hub.store import Store
from operator_under_test import OperatorWorld, operator_world
from private_apiserver import private_apiserver
from tiny_models import tiny_embedder

REPO = "acme/tiny"


@pytest.fixture
def world(tmp_path: Path, cluster_status: Mapping[str, Any], helm: Path) -> Iterator[OperatorWorld]:
    store = Store(tmp_path / "hub")
    pushed = tmp_path / "pushed"
    for name, data in tiny_embedder().items():
        file = pushed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    store.push(pushed, REPO)
    kubectl = cluster_status["tools"]["kubectl"]
    with (
        running(store) as hub_url,
        private_apiserver(tmp_path) as server,
        operator_world(tmp_path, server=server, kubectl=kubectl, helm=helm, hub_url=hub_url) as world,
    ):
        yield world
