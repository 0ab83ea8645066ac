"""The life of operator processes: leaders, standbys, signals, crashes, and what happens under them."""

import pytest
from operator_under_test import CRD, OperatorWorld, embedding_model

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"


def deployments(world: OperatorWorld, name: str) -> dict[str, tuple[str, int]]:
    """Name -> uid and generation."""
    found = world.cluster.list("deployments", namespace="default", labels=f"embedding-operator.dev/model={name}")
    return {item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"]["generation"]) for item in found}


def test_a_standby_takes_over_from_a_killed_leader(world: OperatorWorld) -> None:
    leader = world.start_leader()
    standby = world.start()
    assert not standby.leads()
    assert standby.probe("/healthz") == 200
    leader.kill()
    world.wait_for("the standby leads", standby.leads)
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "tiny"))


def test_sigterm_ends_a_leader_cleanly_and_releases_the_lease(world: OperatorWorld) -> None:
    leader = world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "tiny"))
    assert leader.terminate() == 0
    assert not world.lease().get("holderIdentity")
    assert "Traceback" not in leader.log.read_text()


def test_sigterm_ends_a_standby_cleanly(world: OperatorWorld) -> None:
    leader = world.start_leader()
    standby = world.start()
    assert standby.terminate() == 0
    assert world.lease()["holderIdentity"].startswith("replica-0_")
    assert leader.is_running


def test_a_leader_that_lost_its_lease_ends_at_once(world: OperatorWorld) -> None:
    leader = world.start_leader()

    def take_the_lease() -> bool:
        """The leader renews every second; a stranger who wins the race once is enough."""
        patch = {"spec": {"holderIdentity": "stranger"}}
        world.cluster.patch("lease", "embedding-operator", namespace="embedding-operator", patch=patch)
        return not leader.is_running

    world.wait_for("the leader is gone", take_the_lease)
    assert leader.wait_exit() == 1
    assert "stopping at once" in leader.log.read_text()


def test_after_kill_9_the_next_one_converges_and_changes_no_child(world: OperatorWorld) -> None:
    world.start_leader().kill()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    first = world.start_leader()
    before = world.wait_for("a Deployment", lambda: deployments(world, "tiny"))
    first.kill()
    world.cluster.apply(embedding_model("second", repo=REPO))
    since = world.cluster.audit_offset()
    world.start_leader()
    world.wait_for("the second model's Deployment", lambda: deployments(world, "second"))
    assert deployments(world, "tiny") == before
    asked = [event["objectRef"]["name"] for event in world.operator_events(since=since) if event["verb"] == "patch"]
    assert not [name for name in asked if name.startswith("tiny-")]


def test_a_crd_deleted_and_restored_under_the_operator_heals(world: OperatorWorld) -> None:
    leader = world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "tiny"))
    world.cluster.kubectl("delete", "crd", CRD.stem, "--wait=true", "--timeout=60s")
    world.wait_for("the operator notices", lambda: "waiting until embeddingmodels are served" in leader.log.read_text())
    assert leader.is_running
    assert leader.probe("/healthz") == 200
    world.install_crd()
    world.cluster.apply(embedding_model("again", repo=REPO))
    world.wait_for("a Deployment of the new model", lambda: deployments(world, "again"))
    assert leader.is_running


def test_an_operator_that_starts_before_the_crd_and_the_api_server_waits_for_them(world: OperatorWorld) -> None:
    world.cluster.kubectl("delete", "crd", CRD.stem, "--wait=true", "--timeout=60s")
    world.server.kill()
    operator = world.start()
    assert operator.probe("/healthz") == 200
    world.server.start()
    world.wait_for("the replica leads", operator.leads)
    world.install_crd()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "tiny"))
