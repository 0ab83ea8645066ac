"""Approval of another vector space, and Replace with its gap, on a real cluster."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from live_cluster import LiveCluster, condition
from models_under_test import decode_vector, embedding_model

TEXT = "The weather is lovely today."
SPACE = "embedding-operator.dev/space"


def _ask(host: str) -> tuple[str, int]:
    """Space that the answer names, and dimensions of its vector."""
    body = {"model": "minilm", "input": TEXT, "encoding_format": "base64"}
    answer = httpx.post(f"http://{host}/v1/embeddings", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-embedding-space"], len(decode_vector(answer.json()["data"][0]["embedding"]))


def _server_pods(cluster: LiveCluster, *, namespace: str, space: str | None = None) -> dict[str, str]:
    """Space of each server pod that holds its device, by uid: those that are ending, but not those that have ended."""
    labels = "embedding-operator.dev/component=server" + (f",{SPACE}={space}" if space else "")
    pods = cluster.list("pods", namespace=namespace, labels=labels)
    return {
        pod["metadata"]["uid"]: pod["metadata"]["labels"][SPACE]
        for pod in pods
        if pod["status"]["phase"] not in ("Succeeded", "Failed")
    }


def test_another_space_waits_behind_a_service_of_its_own_and_approving_moves_to_the_same_pods(
    live_cluster: LiveCluster,
    namespace: str,
    apply_model: Callable[..., Any],
    wait_ready: Callable[..., Mapping[str, Any]],
    wait_condition: Callable[..., Mapping[str, Any]],
    model: Callable[[], Mapping[str, Any]],
) -> None:
    apply_model()
    first = wait_ready()["status"]["space"]["fingerprint"]
    host = live_cluster.service_address("minilm", namespace=namespace)
    apply_model(space=first, embedding={"dimensions": 128})
    wait_condition("Stalled", "True", reason="SpaceChangeNotApproved")
    pending = model()["status"]["space"]["pending"]
    own = f"minilm-{pending.removeprefix('sp1-')[:10]}"

    def is_up() -> bool:
        stalled = condition(model(), "Stalled")
        return stalled is not None and "every pod is ready" in stalled["message"] and own in stalled["message"]

    live_cluster.wait_for("the pending space is up", is_up, seconds=240)
    assert _ask(live_cluster.service_address(own, namespace=namespace)) == (pending, 128)
    assert _ask(host) == (first, 384)
    assert model()["status"]["space"] == {"fingerprint": first, "pending": pending}
    coming = set(_server_pods(live_cluster, namespace=namespace, space=pending))

    apply_model(space=pending, embedding={"dimensions": 128})
    wait_ready()
    live_cluster.wait_for("the Service moved", lambda: _ask(host) == (pending, 128), seconds=60)
    gone = "its own Service is deleted"
    live_cluster.wait_for(gone, lambda: live_cluster.get("service", own, namespace=namespace) is None, seconds=60)
    assert set(_server_pods(live_cluster, namespace=namespace, space=pending)) == coming
    kept = live_cluster.must_get("deployment", f"minilm-{first.removeprefix('sp1-')[:10]}", namespace=namespace)
    assert kept["spec"]["replicas"] == 0


def test_replace_takes_the_old_pods_away_first_says_that_there_is_a_gap_and_goes_back(
    live_cluster: LiveCluster,
    namespace: str,
    wait_ready: Callable[..., Mapping[str, Any]],
    model: Callable[[], Mapping[str, Any]],
) -> None:
    rollout = {"strategy": "Replace"}
    live_cluster.apply(embedding_model("minilm", namespace=namespace, rollout=rollout))
    first = wait_ready()["status"]["space"]["fingerprint"]
    host = live_cluster.service_address("minilm", namespace=namespace)
    said: set[str] = set()

    def is_replaced() -> bool:
        spaces = set(_server_pods(live_cluster, namespace=namespace).values())
        assert len(spaces) <= 1, f"pods of two spaces at a time: {spaces}"
        now = model()
        available = condition(now, "Available")
        if available is not None and available["status"] == "False":
            said.add(json.dumps([available["reason"], first in available["message"]]))
        ready = condition(now, "Ready")
        return ready is not None and ready["status"] == "True"

    live_cluster.apply(embedding_model("minilm", namespace=namespace, rollout=rollout, embedding={"dimensions": 128}))
    live_cluster.wait_for("the new space serves", is_replaced, seconds=300)
    second = model()["status"]["space"]["fingerprint"]
    assert second != first
    assert json.dumps(["Replacing", True]) in said
    live_cluster.service_address("minilm", namespace=namespace)  # nothing answered in the gap
    live_cluster.wait_for("answers of the new space", lambda: _ask(host) == (second, 128), seconds=60)

    live_cluster.apply(embedding_model("minilm", namespace=namespace, rollout=rollout))
    live_cluster.wait_for("the space before serves again", is_replaced, seconds=300)
    assert model()["status"]["space"] == {"fingerprint": first, "previous": [second]}
    live_cluster.service_address("minilm", namespace=namespace)
    live_cluster.wait_for("answers of the space before", lambda: _ask(host) == (first, 384), seconds=60)
