"""The CRD and the API server come and go under a running operator."""

import pytest
from operator_under_test import CRD, OperatorWorld, embedding_model

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"


def deployments(world: OperatorWorld, name: str) -> dict[str, tuple[str, int]]:
    """Name -> uid and generation."""
    found = world.cluster.list("deployments", namespace="default", labels=f"embedding-operator.dev/model={name}")
    return {item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"]["generation"]) for item in found}


@pytest.mark.parametrize("noticed", [True, False], ids=["after it was noticed", "at once"])
def test_a_crd_deleted_and_restored_under_the_operator_heals(world: OperatorWorld, noticed: bool) -> None:
    before, after = f"before-{noticed}".lower(), f"after-{noticed}".lower()
    leader = world.start_leader()
    world.cluster.apply(embedding_model(before, repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, before))
    world.cluster.kubectl("delete", "crd", CRD.stem, "--wait=true", "--timeout=60s")
    if noticed:
        said = "waiting until embeddingmodels are served"
        world.wait_for("the operator notices", lambda: said in leader.log.read_text())
        assert leader.is_running
        assert leader.probe("/healthz") == 200
    world.install_crd()
    world.cluster.apply(embedding_model(after, repo=REPO))
    world.wait_for("a Deployment of the new model", lambda: deployments(world, after))
    assert leader.is_running


def test_an_operator_that_starts_before_the_crd_and_the_api_server_waits_for_them(world: OperatorWorld) -> None:
    world.cluster.kubectl("delete", "crd", CRD.stem, "--wait=true", "--timeout=60s")
    world.server.kill()
    operator = world.start()
    assert operator.probe("/healthz") == 200
    world.server.start()
    world.wait_for("the replica leads", operator.leads)
    world.install_crd()
    world.cluster.apply(embedding_model("late", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "late"))
