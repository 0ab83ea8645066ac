"""One private API server, one operator and one hub for all scenes; what no controller does there, the test plays."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from condition_scenes import REPO
from condition_theatre import SCENES, Theatre, write_settings
from hub_in_process import hub_with_model
from operator_under_test import operator_world
from played_cluster import played_cluster
from private_apiserver import private_apiserver
from scripted_pods import scripted_pods
from tiny_models import tiny_embedder


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory, kubectl: Path, helm: Path) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("theatre")
    with (
        hub_with_model(folder, tiny_embedder(), repo=REPO) as hub,
        private_apiserver(folder) as server,
        operator_world(folder, server=server, kubectl=kubectl, helm=helm, hub_url=hub.url) as world,
        scripted_pods() as servers,
        played_cluster(server, servers=servers) as cluster,
        ThreadPoolExecutor(max_workers=len(SCENES)) as pool,
    ):
        write_settings(folder / "settings.yaml", image="registry.example/runtime:1")
        found = Theatre(world=world, cluster=cluster, hub=hub.store, pool=pool)
        found.prepare()
        world.start_leader()
        found.begin(after_restart=False)
        yield found
