"""No pod takes traffic before its outputs match its golden cases."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from live_cluster import LiveCluster, condition, is_true
from models_under_test import decode_vector, embedding_model, reference_vectors, vector_golden

TEXT = "What is the capital of France?"


@pytest.fixture
def right(minilm_folder: Path) -> Mapping[str, Any]:
    return vector_golden("paris", text=TEXT, vector=reference_vectors(minilm_folder, texts=[TEXT])[0])


@pytest.fixture
def wrong(sre_folder: Path) -> Mapping[str, Any]:
    """The vector that another model of the same shape gives: plausible, and wrong."""
    return vector_golden("paris", text=TEXT, vector=reference_vectors(sre_folder, texts=[TEXT])[0])


def ready_endpoints(cluster: LiveCluster, *, namespace: str, service: str = "minilm") -> list[str]:
    slices = cluster.list("endpointslices", namespace=namespace, labels=f"kubernetes.io/service-name={service}")
    endpoints = [endpoint for item in slices for endpoint in item.get("endpoints") or ()]
    return [
        address for endpoint in endpoints if endpoint["conditions"].get("ready") for address in endpoint["addresses"]
    ]


def test_a_pod_with_a_wrong_golden_never_becomes_ready_and_a_corrected_golden_heals_it(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    wrong: Mapping[str, Any],
    right: Mapping[str, Any],
) -> None:
    apply_model(verification={"goldens": [wrong]})
    stalled = wait_condition("Stalled", "True", reason="GoldenMismatch", seconds=240)

    model = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert not is_true(model, "Ready")
    assert not is_true(model, "Available")
    assert ready_endpoints(live_cluster, namespace=namespace) == []
    assert "paris" in stalled["message"]
    assert "0.999" in stalled["message"], "the threshold"
    measured = [word.strip("(),;:") for word in stalled["message"].split() if word.strip("(),;:").startswith("0.")]
    assert any(float(value) < 0.999 for value in measured), stalled["message"]
    assert TEXT not in stalled["message"]

    apply_model(verification={"goldens": [right]})
    healed = wait_ready()
    assert healed["status"]["verification"]["passed"] == healed["status"]["verification"]["total"] >= 1
    assert len(ready_endpoints(live_cluster, namespace=namespace)) == 1


def test_a_wrong_golden_on_a_serving_model_closes_no_pod(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    wrong: Mapping[str, Any],
    right: Mapping[str, Any],
) -> None:
    apply_model(verification={"goldens": [right]})
    wait_ready()
    before = live_cluster.server_pods(namespace=namespace)
    address = live_cluster.service_address("minilm", namespace=namespace)

    apply_model(verification={"goldens": [wrong]})
    wait_condition("Stalled", "True", reason="GoldenMismatch")
    model = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert is_true(model, "Available")
    verified = condition(model, "Verified")
    assert verified is not None
    assert verified["status"] == "False"
    assert live_cluster.server_pods(namespace=namespace) == before
    assert len(ready_endpoints(live_cluster, namespace=namespace)) == 1
    answer = httpx.post(f"http://{address}/v1/embeddings", json={"model": "minilm", "input": TEXT}, timeout=30)
    assert answer.status_code == 200

    apply_model(verification={"goldens": [right]})
    wait_ready()
    assert live_cluster.server_pods(namespace=namespace) == before, "the old case set is still the template's"


def test_an_earlier_generation_serves_on_while_a_new_one_fails_its_goldens(
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    minilm_folder: Path,
    right: Mapping[str, Any],
) -> None:
    live_cluster.apply(embedding_model("minilm", namespace=namespace, verification={"goldens": [right]}))
    first = wait_ready()
    address = live_cluster.service_address("minilm", namespace=namespace)

    half = reference_vectors(minilm_folder, texts=["something else entirely"])[0][:128]
    live_cluster.apply(
        embedding_model(
            "minilm",
            namespace=namespace,
            embedding={"dimensions": 128},
            verification={"goldens": [vector_golden("cut", text=TEXT, vector=half)]},
        )
    )
    wait_condition("Stalled", "True", reason="GoldenMismatch", seconds=240)
    model = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert is_true(model, "Available")
    answer = httpx.post(
        f"http://{address}/v1/embeddings",
        json={"model": "minilm", "input": TEXT, "encoding_format": "base64"},
        timeout=30,
    )
    assert answer.headers["x-embedding-space"] == first["status"]["space"]["fingerprint"]
    vector = decode_vector(answer.json()["data"][0]["embedding"])
    assert vector.shape == (384,)
    assert np.isfinite(vector).all()


def test_under_warn_a_wrong_golden_serves_and_every_answer_says_so(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    wrong: Mapping[str, Any],
) -> None:
    apply_model(verification={"goldens": [wrong], "failurePolicy": "Warn"})
    wait_ready()
    verified = wait_condition("Verified", "False", reason="GoldenMismatch")
    assert "paris" in verified["message"]
    address = live_cluster.service_address("minilm", namespace=namespace)
    answer = httpx.post(f"http://{address}/v1/embeddings", json={"model": "minilm", "input": TEXT}, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["x-embedding-verified"] == "false"
