"""Models live and die alone, and nothing is ever written on the user's object but its status."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from claims import Claim
from live_cluster import LiveCluster
from models_under_test import embedding_model, reference_vectors, vector_golden

CHILDREN = ("deployments", "services", "configmaps", "jobs", "pods", "poddisruptionbudgets", "replicasets")


def children(cluster: LiveCluster, *, namespace: str, model: str) -> list[str]:
    labels = f"embedding-operator.dev/model={model}"
    return [
        f"{kind}/{item['metadata']['name']}"
        for kind in CHILDREN
        for item in cluster.list(kind, namespace=namespace, labels=labels)
    ]


@pytest.fixture
def volume(claim: Callable[[str], Claim], sre_folder: Path) -> str:
    """A claim that holds the second model under /models/sre."""
    models = claim("models")
    models.fill(sre_folder, path="/models/sre")
    return models.name


def test_two_models_one_from_a_volume_and_deleting_one_leaves_the_other(
    live_cluster: LiveCluster,
    namespace: str,
    volume: str,
    sre_folder: Path,
    minilm_folder: Path,
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    offset = live_cluster.audit_offset()
    text = "Pods are evicted when a node runs out of memory."
    hub_model = embedding_model(
        "hub-model",
        namespace=namespace,
        verification={
            "goldens": [vector_golden("a", text=text, vector=reference_vectors(minilm_folder, texts=[text])[0])]
        },
    )
    volume_model = embedding_model(
        "volume-model",
        namespace=namespace,
        model={"persistentVolumeClaim": {"claimName": volume, "path": "/models/sre"}},
        verification={
            "goldens": [vector_golden("a", text=text, vector=reference_vectors(sre_folder, texts=[text])[0])]
        },
    )
    live_cluster.apply(hub_model, volume_model)
    first = wait_ready("hub-model")
    wait_ready("volume-model")
    second = live_cluster.wait_until_settled("volume-model", namespace=namespace)
    assert second["status"]["model"]["source"] == f"pvc/{volume}:/models/sre"
    assert first["status"]["space"]["fingerprint"] != second["status"]["space"]["fingerprint"]
    assert live_cluster.list("jobs", namespace=namespace) == []

    kept = set(children(live_cluster, namespace=namespace, model="volume-model"))
    live_cluster.delete("embeddingmodel", "hub-model", namespace=namespace)
    live_cluster.wait_for(
        "all children of the deleted model are gone",
        lambda: not children(live_cluster, namespace=namespace, model="hub-model"),
        seconds=180,
    )
    assert set(children(live_cluster, namespace=namespace, model="volume-model")) == kept
    other = live_cluster.must_get("embeddingmodel", "volume-model", namespace=namespace)
    assert other["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert_only_status_was_written(live_cluster, namespace=namespace, offset=offset)


def assert_only_status_was_written(cluster: LiveCluster, *, namespace: str, offset: int) -> None:
    """From the API server's audit log: no write of the operator on an EmbeddingModel but on its status subresource."""
    writes = [
        event
        for event in cluster.audit_events(since_offset=offset)
        if event.get("objectRef", {}).get("resource") == "embeddingmodels"
        and event["objectRef"].get("namespace") == namespace
        and event["user"]["username"].startswith("system:serviceaccount:")
        and event["user"]["username"].endswith(":embedding-operator")
        and event["verb"] in {"create", "update", "patch", "delete"}
    ]
    assert writes, "the audit log shows the operator's status writes"
    assert {event["objectRef"].get("subresource") for event in writes} == {"status"}
    for model in cluster.list("embeddingmodels", namespace=namespace):
        metadata = model["metadata"]
        assert "finalizers" not in metadata
        ours = [key for key in metadata.get("annotations", {}) if "embedding-operator" in key or "kopf" in key]
        assert ours == []


def test_gpus_are_counted_by_the_scheduler_and_the_third_model_waits_in_its_words(
    live_cluster: LiveCluster,
    namespace: str,
    wait_ready: Callable[..., Mapping[str, Any]],
    wait_condition: Callable[..., Mapping[str, Any]],
) -> None:
    resources = {"requests": {"cpu": "50m", "memory": "300Mi"}, "limits": {"memory": "2Gi", "nvidia.com/gpu": 1}}
    for name in ("first", "second"):
        live_cluster.apply(embedding_model(name, namespace=namespace, resources=resources))
        wait_ready(name)
    pods = live_cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
    assert [pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] for pod in pods] == ["1", "1"]
    nodes = {pod["spec"]["nodeName"] for pod in pods}
    assert all(
        live_cluster.must_get("node", node, namespace="default")["status"]["allocatable"]["nvidia.com/gpu"] == "2"
        for node in nodes
    )

    live_cluster.apply(embedding_model("third", namespace=namespace, resources=resources))
    found = wait_condition("Ready", "False", name="third", reason="InsufficientCapacity")
    assert "Insufficient nvidia.com/gpu" in found["message"]

    live_cluster.delete("embeddingmodel", "first", namespace=namespace)
    wait_ready("third")
