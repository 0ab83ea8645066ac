"""What a running operator does, and what it never writes. One operator works for all tests of this module."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from live_cluster import is_true
from operator_under_test import OperatorProcess, OperatorWorld, embedding_model

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"


@pytest.fixture(scope="module")
def operator(module_world: OperatorWorld) -> Iterator[OperatorProcess]:
    yield module_world.start_leader()
    module_world.stop_all()


def children(world: OperatorWorld, name: str) -> Sequence[Mapping[str, Any]]:
    return world.cluster.list(
        "deployments,services,configmaps", namespace="default", labels=f"embedding-operator.dev/model={name}"
    )


def deployment_of(world: OperatorWorld, name: str) -> Any:
    found = [item for item in children(world, name) if item["kind"] == "Deployment"]
    return found[0] if found else None


def apply_and_await(world: OperatorWorld, name: str) -> Any:
    """Apply a model; its Deployment once it is there."""
    world.cluster.apply(embedding_model(name, repo=REPO))
    return world.wait_for(f"a Deployment of {name}", lambda: deployment_of(world, name))


def writes(world: OperatorWorld, *, since: int) -> list[str]:
    reads = ("get", "list", "watch")
    return [
        event["objectRef"]["resource"] for event in world.operator_events(since=since) if event["verb"] not in reads
    ]


def test_an_applied_model_gets_its_children_and_a_status_within_the_charts_rights(
    module_world: OperatorWorld, operator: OperatorProcess
) -> None:
    world = module_world
    apply_and_await(world, "complete")

    def is_resolved() -> bool:
        return is_true(world.cluster.must_get("embeddingmodel", "complete", namespace="default"), "Resolved")

    world.wait_for("the model is resolved", is_resolved)
    assert {item["kind"] for item in children(world, "complete")} == {"Deployment", "Service", "ConfigMap"}
    refused = [event for event in world.operator_events(since=0) if event["responseStatus"]["code"] in (401, 403)]
    assert [(event["verb"], event["requestURI"]) for event in refused] == []


def test_nothing_of_the_users_object_is_written_but_its_status(
    module_world: OperatorWorld, operator: OperatorProcess
) -> None:
    world = module_world
    apply_and_await(world, "untouched")
    world.cluster.patch("embeddingmodel", "untouched", namespace="default", patch={"spec": {"replicas": 2}})
    world.wait_for("two replicas", lambda: deployment_of(world, "untouched")["spec"]["replicas"] == 2)
    written = {
        (event["verb"], event["objectRef"].get("subresource"))
        for event in world.operator_events(since=0)
        if event.get("objectRef", {}).get("resource") == "embeddingmodels"
        and event["verb"] not in ("get", "list", "watch")
    }
    assert written == {("patch", "status")}
    metadata = world.cluster.must_get("embeddingmodel", "untouched", namespace="default")["metadata"]
    assert "finalizers" not in metadata
    assert set(metadata["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}


def test_a_deleted_child_is_restored(module_world: OperatorWorld, operator: OperatorProcess) -> None:
    world = module_world
    first = apply_and_await(world, "restored")
    world.cluster.kubectl("delete", "deployment", first["metadata"]["name"], "-n", "default")
    second = world.wait_for("another Deployment", lambda: deployment_of(world, "restored"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["spec"] == first["spec"]


def test_an_idle_operator_writes_nothing_but_its_lease(module_world: OperatorWorld, operator: OperatorProcess) -> None:
    world = module_world
    apply_and_await(world, "idle")
    since = world.cluster.audit_offset()

    def is_quiet() -> bool:
        nonlocal since
        seen = writes(world, since=since)
        if set(seen) - {"leases"}:
            since = world.cluster.audit_offset()
            return False
        return seen.count("leases") >= 10

    world.wait_for("ten renewals of the Lease in a row without another write", is_quiet)
    assert set(writes(world, since=since)) == {"leases"}


def test_an_operator_with_models_stays_small(module_world: OperatorWorld, operator: OperatorProcess) -> None:
    apply_and_await(module_world, "small")
    assert operator.resident_mib() < 150


def test_metrics_tell_of_reconciles_calls_and_resolutions(
    module_world: OperatorWorld, operator: OperatorProcess
) -> None:
    apply_and_await(module_world, "measured")
    text = operator.metrics()
    assert 'embedding_operator_resolutions_total{result="Resolved"}' in text
    assert 'embedding_operator_kubernetes_request_seconds_count{kind="Deployment",status="201",verb="apply"}' in text
    assert 'embedding_operator_reconcile_seconds_count{outcome="' in text
    assert "embedding_operator_leader 1.0" in text
