"""Every replica loads exactly the files of the commit that was resolved once."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from live_cluster import LiveCluster, is_true
from local_hub import LocalHub
from models_under_test import embedding_model

REPO = "acme/moving-model"


@pytest.fixture
def repository(push: Callable[..., str], minilm_folder: Path) -> str:
    """The commit that REPO's main branch has at the start of the test."""
    return push(minilm_folder, REPO)


def test_a_flipped_byte_on_the_way_is_refused_with_file_expected_and_found_hash(
    apply_model: Callable[..., Any],
    hub: LocalHub,
    repository: str,
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    hub.run("fault", "add", "--path-glob", f"*{REPO}*model.safetensors", "--kind", "flip", "--times", "1000000")
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=REPO))
    stalled = wait_condition("Stalled", "True", reason="HashMismatch", seconds=180)
    assert "model.safetensors" in stalled["message"]
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in stalled["message"], "expected hash"
    hashes = {word.strip("(),;:.") for word in stalled["message"].split() if len(word.strip("(),;:.")) == 64}
    assert len(hashes) == 2, "expected and found hash"
    model = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert not is_true(model, "Available")

    hub.run("fault", "clear")
    wait_ready(seconds=420)


def test_a_branch_that_moves_changes_nothing_for_pods_started_afterwards(
    live_cluster: LiveCluster,
    namespace: str,
    repository: str,
    push: Callable[..., str],
    sre_folder: Path,
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=REPO))
    before = wait_ready()
    assert before["status"]["model"]["revision"] == repository
    assert before["status"]["model"]["requested"] == "main"

    moved = push(sre_folder, REPO)
    assert moved != repository
    old = {pod["metadata"]["uid"] for pod in live_cluster.list("pods", namespace=namespace)}
    live_cluster.kubectl("delete", "pods", "-n", namespace, "-l", "embedding-operator.dev/model=minilm", "--wait=false")

    def restarted() -> bool:
        pods = live_cluster.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
        fresh = [pod for pod in pods if pod["metadata"]["uid"] not in old]
        return bool(fresh) and all(
            any(row["type"] == "Ready" and row["status"] == "True" for row in pod["status"].get("conditions", ()))
            for pod in fresh
        )

    live_cluster.wait_for("the pods were replaced", restarted, seconds=240)

    # An edit elsewhere in the spec must not resolve anew either.
    live_cluster.patch("embeddingmodel", "minilm", namespace=namespace, patch={"spec": {"replicas": 2}})
    after = wait_ready()
    assert after["status"]["model"]["revision"] == repository
    assert after["status"]["space"] == before["status"]["space"]
    answer = live_cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/services/minilm:http/proxy/info")
    assert json.loads(answer)["revision"] == repository


def test_a_missing_weight_file_is_refused_before_any_pod_starts(
    live_cluster: LiveCluster,
    namespace: str,
    push: Callable[..., str],
    minilm_folder: Path,
    tmp_path: Path,
    wait_condition: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_folder, folder)
    (folder / "model.safetensors").unlink()
    push(folder, "acme/without-weights")
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo="acme/without-weights"))
    resolved = wait_condition("Resolved", "False", reason="MissingFile")
    assert "safetensors" in resolved["message"]
    assert live_cluster.list("deployments", namespace=namespace) == []
