"""One private API server, one operator and one hub for all scenes; what no controller does there, the test plays."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from condition_scenes import REPO
from condition_theatre import SCENES, Theatre, write_settings
from operator_under_test import operator_world
from played_cluster import played_cluster
from private_apiserver import private_apiserver
from scripted_pods import scripted_pods
from tiny_models import tiny_embedder

from localcluster.hub.server import running
from localcluster.hub.store import Store


@pytest.fixture(scope="session")
def theatre(
    tmp_path_factory: pytest.TempPathFactory, cluster_status: Mapping[str, Any], helm: Path
) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("theatre")
    store = Store(folder / "hub")
    pushed = folder / "pushed"
    for name, data in tiny_embedder().items():
        file = pushed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    store.push(pushed, REPO)
    kubectl = cluster_status["tools"]["kubectl"]
    with (
        running(store) as hub_url,
        private_apiserver(folder) as server,
        operator_world(folder, server=server, kubectl=kubectl, helm=helm, hub_url=hub_url) as world,
        scripted_pods() as servers,
        played_cluster(server, servers=servers) as cluster,
        ThreadPoolExecutor(max_workers=len(SCENES)) as pool,
    ):
        write_settings(folder / "settings.yaml", image="registry.example/runtime:1")
        found = Theatre(world=world, cluster=cluster, hub=store, pool=pool)
        found.prepare()
        world.start_leader()
        found.begin(after_restart=False)
        yield found
