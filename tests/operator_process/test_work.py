"""What a running operator does, and what it never writes."""

from typing import Any

import pytest
from live_cluster import condition
from operator_under_test import OperatorWorld, embedding_model

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"


def children(world: OperatorWorld, name: str) -> Any:
    return world.cluster.list(
        "deployments,services,configmaps", namespace="default", labels=f"embedding-operator.dev/model={name}"
    )


def deployment_of(world: OperatorWorld, name: str) -> Any:
    found = [item for item in children(world, name) if item["kind"] == "Deployment"]
    return found[0] if found else None


def renewals(world: OperatorWorld, *, since: int) -> int:
    return sum(
        1
        for event in world.operator_events(since=since)
        if event["verb"] == "update" and event["objectRef"]["resource"] == "leases"
    )


def test_an_applied_model_gets_its_children_and_a_status_within_the_charts_rights(world: OperatorWorld) -> None:
    world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployment_of(world, "tiny"))
    model = world.wait_for(
        "Resolved",
        lambda: (
            (found := world.cluster.must_get("embeddingmodel", "tiny", namespace="default"))
            and condition(found, "Resolved")
            and found
        ),
    )
    assert condition(model, "Resolved")["status"] == "True"
    assert {item["kind"] for item in children(world, "tiny")} == {"Deployment", "Service", "ConfigMap"}
    refused = [event for event in world.operator_events(since=0) if event["responseStatus"]["code"] in (401, 403)]
    assert [(event["verb"], event["requestURI"]) for event in refused] == []


def test_nothing_of_the_users_object_is_written_but_its_status(world: OperatorWorld) -> None:
    world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployment_of(world, "tiny"))
    world.cluster.patch("embeddingmodel", "tiny", namespace="default", patch={"spec": {"replicas": 2}})
    world.wait_for("two replicas", lambda: deployment_of(world, "tiny")["spec"]["replicas"] == 2)
    writes = {
        (event["verb"], event["objectRef"].get("subresource"))
        for event in world.operator_events(since=0)
        if event["objectRef"]["resource"] == "embeddingmodels" and event["verb"] not in ("get", "list", "watch")
    }
    assert writes == {("patch", "status")}
    metadata = world.cluster.must_get("embeddingmodel", "tiny", namespace="default")["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_an_idle_operator_writes_nothing_but_its_lease(world: OperatorWorld) -> None:
    world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployment_of(world, "tiny"))
    quiet_since = world.cluster.audit_offset()

    def is_quiet() -> bool:
        nonlocal quiet_since
        others = [event for event in writes(world, since=quiet_since) if event != "leases"]
        if others:
            quiet_since = world.cluster.audit_offset()
        return renewals(world, since=quiet_since) >= 10

    world.wait_for("ten renewals of the Lease in a row without another write", is_quiet)
    assert set(writes(world, since=quiet_since)) == {"leases"}


def writes(world: OperatorWorld, *, since: int) -> list[str]:
    reads = ("get", "list", "watch")
    return [
        event["objectRef"]["resource"] for event in world.operator_events(since=since) if event["verb"] not in reads
    ]


def test_an_operator_with_a_model_stays_small(world: OperatorWorld) -> None:
    operator = world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    world.wait_for("a Deployment", lambda: deployment_of(world, "tiny"))
    assert operator.resident_mib() < 150


def test_a_deleted_child_is_restored(world: OperatorWorld) -> None:
    world.start_leader()
    world.cluster.apply(embedding_model("tiny", repo=REPO))
    first = world.wait_for("a Deployment", lambda: deployment_of(world, "tiny"))
    world.cluster.kubectl("delete", "deployment", first["metadata"]["name"], "-n", "default")
    second = world.wait_for("another Deployment", lambda: deployment_of(world, "tiny"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["spec"] == first["spec"]
