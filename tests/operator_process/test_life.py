"""The life of operator processes: leaders, standbys, signals, crashes, and what happens under them."""

import socket

import pytest
from operator_under_test import OperatorWorld, embedding_model

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
    world.cluster.apply(embedding_model("taken-over", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "taken-over"))


def test_sigterm_ends_a_leader_cleanly_and_releases_the_lease(world: OperatorWorld) -> None:
    leader = world.start_leader()
    world.cluster.apply(embedding_model("ended", repo=REPO))
    world.wait_for("a Deployment", lambda: deployments(world, "ended"))
    assert leader.terminate() == 0
    assert not world.lease().get("holderIdentity")
    assert "Traceback" not in leader.log.read_text()


def test_sigterm_does_not_wait_for_a_hub_that_hangs(world: OperatorWorld) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = world.folder / "deaf-hub.yaml"
        hub = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        profile = "{image: registry.example/runtime:1, referenceImage: registry.example/reference:1}"
        settings.write_text(f"{{hub: {{endpoint: '{hub}'}}, profiles: {{cpu: {profile}}}}}")
        leader = world.start(f"--settings={settings}")
        world.wait_for("the replica leads", leader.leads)
        world.cluster.apply(embedding_model("deaf", repo=REPO))
        deaf.settimeout(60)
        connection, _ = deaf.accept()
        with connection:
            assert leader.terminate() == 0


def test_sigterm_ends_a_standby_cleanly(world: OperatorWorld) -> None:
    leader = world.start_leader()
    standby = world.start()
    assert standby.terminate() == 0
    assert leader.is_running
    assert leader.leads()


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
