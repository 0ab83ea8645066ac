"""A tracked branch is followed within its vector space and never out of it."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from live_cluster import LiveCluster, condition, is_true
from models_under_test import embedding_model


@pytest.fixture
def repo() -> str:
    return f"acme/{uuid4().hex}"  # the hub keeps what earlier runs pushed


@pytest.fixture
def retouched(minilm_folder: Path, tmp_path: Path) -> Path:
    """The same model saved by another version of the library: other bytes, the same vectors."""
    folder = tmp_path / "retouched"
    shutil.copytree(minilm_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "transformers_version": "4.99.0"}))
    return folder


def tracked(name: str, *, namespace: str, repo: str, policy: str = "Track", **spec: Any) -> Mapping[str, Any]:
    source = {"huggingFace": {"repo": repo, "revision": "main", "updatePolicy": policy}}
    return embedding_model(name, namespace=namespace, model=source, **spec)


def test_a_commit_within_the_space_is_followed_and_one_beyond_it_only_with_approval(
    live_cluster: LiveCluster,
    namespace: str,
    repo: str,
    push: Callable[..., str],
    minilm_folder: Path,
    retouched: Path,
    sre_folder: Path,
    model: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    wait_condition: Callable[..., Mapping[str, Any]],
) -> None:
    first = push(minilm_folder, repo)
    live_cluster.apply(tracked("minilm", namespace=namespace, repo=repo))
    before = wait_ready()
    assert before["status"]["model"]["revision"] == first

    second = push(retouched, repo)

    def followed() -> Mapping[str, Any] | None:
        now = model()
        return now if now["status"]["model"]["revision"] == second and is_true(now, "Ready") else None

    within = live_cluster.wait_for("the new commit is served", followed, seconds=240)
    assert within["status"]["space"] == before["status"]["space"]
    assert within["status"]["model"]["manifest"] != before["status"]["model"]["manifest"]

    third = push(sre_folder, repo)
    stalled = wait_condition("Stalled", "True", reason="SpaceChangeNotApproved")
    now = model()
    pending = now["status"]["space"]["pending"]
    assert {third[:12], pending} <= {word.strip("(),;:.") for word in stalled["message"].split()} | {third[:12]}
    assert third[:12] in stalled["message"]
    assert now["status"]["model"]["revision"] == second
    assert now["status"]["space"]["fingerprint"] == before["status"]["space"]["fingerprint"]
    assert is_true(now, "Available")
    assert len(live_cluster.list("deployments", namespace=namespace)) == 1

    live_cluster.patch("embeddingmodel", "minilm", namespace=namespace, patch={"spec": {"space": pending}})
    moved = wait_ready(seconds=420)
    assert moved["status"]["model"]["revision"] == third
    served = before["status"]["space"]["fingerprint"]
    assert moved["status"]["space"] == {"fingerprint": pending, "previous": [served]}
    assert condition(moved, "Stalled") is None


def test_a_force_pushed_branch_changes_nothing_for_a_pinned_model(
    live_cluster: LiveCluster,
    namespace: str,
    repo: str,
    push: Callable[..., str],
    minilm_folder: Path,
    sre_folder: Path,
    model: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    pinned = push(minilm_folder, repo)
    live_cluster.apply(tracked("minilm", namespace=namespace, repo=repo, policy="Pin"))
    before = wait_ready()
    forced = push(sre_folder, repo, force=True)
    assert forced != pinned
    old = set(live_cluster.server_pods(namespace=namespace))
    live_cluster.kubectl("delete", "pods", "-n", namespace, "-l", "embedding-operator.dev/component=server")

    def replaced() -> Mapping[str, Any] | None:
        now = model()
        fresh = set(live_cluster.server_pods(namespace=namespace)) - old
        return now if fresh and is_true(now, "Ready") and now["status"].get("readyReplicas") == 1 else None

    after = live_cluster.wait_for("another pod serves", replaced, seconds=240)
    assert after["status"]["model"] == before["status"]["model"]
    assert after["status"]["space"] == before["status"]["space"]
