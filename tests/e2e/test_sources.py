"""Every source gives the same bytes: a gated repository, a private mirror, an image, a cache, a volume that changes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from claims import Claim
from live_cluster import LiveCluster, is_true
from local_hub import LocalHub
from models_under_test import cosine, embedding_model, reference_vectors, vector_golden

TEXT = "Where do I find my invoices?"
WaitCondition = Callable[..., Mapping[str, Any]]
WaitReady = Callable[..., Mapping[str, Any]]


@pytest.fixture
def repo() -> str:
    return f"acme/{uuid4().hex}"  # the hub keeps what earlier runs pushed


@pytest.fixture
def golden(minilm_folder: Path) -> Mapping[str, Any]:
    return {"goldens": [vector_golden("invoices", text=TEXT, vector=reference_vectors(minilm_folder, texts=[TEXT])[0])]}


@pytest.fixture
def secrets_read(live_cluster: LiveCluster, operator: str) -> Callable[[], list[str]]:
    """Calls of the operator on Secrets since the start of the test, from the API server's audit log."""
    offset = live_cluster.audit_offset()
    user = f"system:serviceaccount:{operator}:embedding-operator"

    def calls() -> list[str]:
        return [
            f"{event['verb']} {event['objectRef'].get('name')}"
            for event in live_cluster.audit_events(since_offset=offset)
            if event["user"]["username"] == user and event.get("objectRef", {}).get("resource") == "secrets"
        ]

    return calls


def embed(cluster: LiveCluster, *, namespace: str) -> npt.NDArray[np.float32]:
    address = cluster.service_address("minilm", namespace=namespace)
    answer = httpx.post(f"http://{address}/v1/embeddings", json={"model": "minilm", "input": TEXT}, timeout=30)
    answer.raise_for_status()
    return np.asarray(answer.json()["data"][0]["embedding"], dtype=np.float32)


def test_a_gated_repository_is_served_with_a_token_that_the_operator_never_reads(
    live_cluster: LiveCluster,
    namespace: str,
    hub: LocalHub,
    repo: str,
    push: Callable[..., str],
    minilm_folder: Path,
    golden: Mapping[str, Any],
    secrets_read: Callable[[], list[str]],
    wait_condition: WaitCondition,
    wait_ready: WaitReady,
) -> None:
    token = f"hf_{uuid4().hex}"
    commit = push(minilm_folder, repo)
    hub.run("token", "add", token)
    hub.run("gate", repo, "--gated", "--allow", token)
    source = {"huggingFace": {"repo": repo, "tokenSecretRef": {"name": "hf-token"}}}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, model=source, verification=golden))
    missing = wait_condition("Resolved", "False")
    live_cluster.wait_for(
        "the missing Secret is named",
        lambda: "hf-token" in wait_condition("Resolved", "False")["message"],
        seconds=120,
    )
    assert token not in missing["message"]

    live_cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "hf-token", "namespace": namespace},
            "stringData": {"HF_TOKEN": token},
        }
    )
    ready = wait_ready(seconds=420)
    assert ready["status"]["model"]["revision"] == commit
    assert secrets_read() == []
    text = live_cluster.kubectl("get", "em,cm,deploy,jobs,pods,events", "-n", namespace, "-o", "yaml")
    assert token not in text
    (pod,) = live_cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
    (container,) = pod["spec"]["containers"]
    mounted = {item["name"] for item in container["volumeMounts"]}
    secrets = {volume["name"] for volume in pod["spec"]["volumes"] if "hf-token" in str(volume)}
    assert secrets
    assert not secrets & mounted, "the serving container sees the token"


def test_mirrors_by_name_serve_the_same_files_also_over_tls_of_their_own_and_asked_by_pods_alone(
    live_cluster: LiveCluster,
    namespace: str,
    vault: LocalHub,
    repo: str,
    push: Callable[..., str],
    minilm_folder: Path,
    wait_ready: WaitReady,
) -> None:
    push(minilm_folder, repo)
    vault.run("push", str(minilm_folder), repo)
    for name, mirror, replicas in (("public", "corp", 0), ("private", "vault", 1)):
        source = {"huggingFace": {"repo": repo, "mirror": mirror}}
        live_cluster.apply(embedding_model(name, namespace=namespace, model=source, replicas=replicas))
    public, private = wait_ready("public"), wait_ready("private", seconds=420)
    assert public["status"]["model"]["manifest"] == private["status"]["model"]["manifest"]
    assert public["status"]["space"]["pending"] == private["status"]["space"]["fingerprint"]
    assert live_cluster.list("jobs", namespace=namespace) == []


def test_a_deleted_repository_is_served_on_from_the_cache_by_pods_started_afterwards(
    live_cluster: LiveCluster,
    namespace: str,
    hub: LocalHub,
    repo: str,
    push: Callable[..., str],
    claim: Callable[[str], Claim],
    minilm_folder: Path,
    golden: Mapping[str, Any],
    wait_ready: WaitReady,
) -> None:
    push(minilm_folder, repo)
    cache = claim("model-cache")
    cache.run("open('/to/other-owner.txt', 'w').write('leave me')")
    live_cluster.apply(
        embedding_model(
            "minilm",
            namespace=namespace,
            repo=repo,
            verification=golden,
            cache={"persistentVolumeClaim": {"claimName": cache.name}},
        )
    )
    before = wait_ready(seconds=420)
    hub.run("delete", repo)
    old = set(live_cluster.server_pods(namespace=namespace))
    live_cluster.kubectl("delete", "pods", "-n", namespace, "-l", "embedding-operator.dev/component=server")

    def replaced() -> Mapping[str, Any] | None:
        now = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
        fresh = set(live_cluster.server_pods(namespace=namespace)) - old
        return now if fresh and is_true(now, "Ready") and now["status"].get("readyReplicas") == 1 else None

    after = live_cluster.wait_for("another pod serves from the cache", replaced, seconds=240)
    assert after["status"]["model"] == before["status"]["model"]
    expected = reference_vectors(minilm_folder, texts=[TEXT])[0]
    assert cosine(embed(live_cluster, namespace=namespace), expected) > 0.9999
    top = cache.run("import os; print(sorted(os.listdir('/to')))")
    assert "embedding-operator-v1" in top
    assert "other-owner.txt" in top


def test_a_volume_that_is_changed_behind_our_back_is_caught_at_the_next_start(
    live_cluster: LiveCluster,
    namespace: str,
    claim: Callable[[str], Claim],
    minilm_folder: Path,
    sre_folder: Path,
    wait_ready: WaitReady,
    wait_condition: WaitCondition,
) -> None:
    models = claim("models")
    models.fill(minilm_folder, path="/minilm")
    source = {"persistentVolumeClaim": {"claimName": models.name, "path": "/minilm"}}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, model=source))
    before = wait_ready(seconds=420)
    models.fill(sre_folder, path="/minilm")
    live_cluster.kubectl("delete", "pods", "-n", namespace, "-l", "embedding-operator.dev/component=server")
    stalled = wait_condition("Stalled", "True", reason="HashMismatch", seconds=240)
    assert "sha256" in stalled["message"]
    now = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert not is_true(now, "Available")
    assert now["status"]["model"]["manifest"] == before["status"]["model"]["manifest"]

    models.fill(minilm_folder, path="/minilm")
    wait_ready(seconds=420)


def test_a_model_in_an_image_is_pulled_verified_and_never_executed(
    live_cluster: LiveCluster,
    namespace: str,
    push_image: Callable[..., str],
    minilm_folder: Path,
    golden: Mapping[str, Any],
    wait_ready: WaitReady,
    wait_condition: WaitCondition,
) -> None:
    reference = push_image(minilm_folder, "models/minilm", path="/minilm")
    assert "@sha256:" in reference
    elsewhere = {"image": {"reference": f"registry.example.org/models/minilm@{reference.partition('@')[2]}"}}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, model=elsewhere, verification=golden))
    refused = wait_condition("Resolved", "False", reason="RegistryNotAllowed")
    assert "198.18.0.1:5000" in refused["message"], "the registries that are allowed"

    source = {"image": {"reference": reference, "path": "/minilm"}}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, model=source, verification=golden))
    ready = wait_ready(seconds=420)
    assert reference.partition("@")[2] in ready["status"]["model"]["source"]
    expected = reference_vectors(minilm_folder, texts=[TEXT])[0]
    assert cosine(embed(live_cluster, namespace=namespace), expected) > 0.9999
