"""Two simulated nodes, what answers for their pods, and the operator as a process: one of each for all these tests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_in_process import hub_with_model
from kwok_cluster import NodeTimes, kwok_cluster
from nodes_under_test import REPO, NodesWorld
from operator_under_test import operator_world
from pod_responder import pod_responder
from tiny_models import tiny_embedder

# A lost node is known after 20 s instead of 50, and its pods leave it 8 s later instead of 300.
TIMES = NodeTimes(lease_seconds=12, grace_seconds=20, toleration_seconds=8)


@pytest.fixture(scope="session")
def session_world(tmp_path_factory: pytest.TempPathFactory, kubectl: Path, helm: Path) -> Iterator[NodesWorld]:
    folder = tmp_path_factory.mktemp("nodes")
    with (
        hub_with_model(folder, tiny_embedder(), repo=REPO) as hub,
        kwok_cluster(folder, nodes=2, times=TIMES) as rig,
        pod_responder(rig.server, network=str(rig.pod_range)) as responder,
        operator_world(folder, server=rig.server, kubectl=kubectl, helm=helm, hub_url=hub.url) as operator,
    ):
        replica = operator.start_leader()
        yield NodesWorld(rig=rig, responder=responder, operator=operator, replica=replica)


@pytest.fixture
def world(session_world: NodesWorld) -> Iterator[NodesWorld]:
    """Both nodes there and empty of faults, before the test and after it."""
    try:
        yield session_world
    finally:
        session_world.responder.faults.clear()
        for node in session_world.rig.nodes:
            session_world.restore(node)


@pytest.fixture
def namespace(world: NodesWorld, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own; its models go with it."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))
    name = f"{name[:30]}-{name[-20:]}".strip("-")
    world.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    world.cluster.delete("namespace", name, namespace="default", wait=False)
