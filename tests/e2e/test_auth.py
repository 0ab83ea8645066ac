"""A model that asks for keys: its Secret may come late and be rotated, and the operator's audits need none."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from live_cluster import LiveCluster, is_true
from signed_tokens import AUDIENCE, Authority, jwks

OLD, NEW = "search-team-key-0001", "search-team-key-0002"
WEATHER = {
    "name": "weather",
    "similarity": {
        "a": "The weather is lovely today.",
        "b": "It's so sunny outside!",
        "expected": "0.6660",
        "tolerance": "0.005",
    },
}
SERVER = "embedding-operator.dev/component=server"


@pytest.fixture
def write_keys(live_cluster: LiveCluster, namespace: str) -> Callable[..., None]:
    """Write the Secret, and have the kubelet look: it would by itself, within a minute or two."""

    def write(*keys: str) -> None:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "embed-keys", "namespace": namespace}}
        live_cluster.apply({**secret, "stringData": {"embedding-api-keys": "\n".join(keys)}})
        for pod in live_cluster.list("pods", namespace=namespace, labels=SERVER):
            annotation = {"metadata": {"annotations": {"test.example/written": keys[0]}}}
            live_cluster.patch("pod", pod["metadata"]["name"], namespace=namespace, patch=annotation)

    return write


def test_keys_are_asked_for_and_rotated_without_a_restart(
    live_cluster: LiveCluster,
    namespace: str,
    apply_model: Callable[..., Mapping[str, Any]],
    wait_ready: Callable[..., Mapping[str, Any]],
    wait_condition: Callable[..., Mapping[str, Any]],
    model: Callable[..., Mapping[str, Any]],
    write_keys: Callable[..., None],
) -> None:
    authority = Authority.rsa()
    keys = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "login", "namespace": namespace}}
    live_cluster.apply({**keys, "data": {"jwks.json": jwks(authority.jwk())}})
    jwt = {"jwksConfigMapRef": {"name": "login"}, "audiences": [AUDIENCE]}
    auth = {"apiKeysSecretRef": {"name": "embed-keys"}, "jwt": jwt}
    apply_model(auth=auth, verification={"goldens": [WEATHER]})
    missing = wait_condition("Reconciling", "True", reason="SecretNotFound")
    assert 'embedding-api-keys of Secret "embed-keys"' in missing["message"]

    write_keys(OLD)
    wait_ready()
    address = live_cluster.service_address("minilm", namespace=namespace)
    pods = live_cluster.server_pods(namespace=namespace)

    def ask(credential: str) -> httpx.Response:
        body = {"model": "minilm", "input": "my private question"}
        headers = {"authorization": credential} if credential else {}
        return httpx.post(f"http://{address}/v1/embeddings", json=body, headers=headers, timeout=30)

    refused = ask("")
    assert refused.status_code == 401
    assert "embedding-runtime server of the model" in refused.json()["error"]["message"]
    assert ask(f"Bearer {NEW}").status_code == 401
    assert ask(authority.mint(aud="elsewhere")).status_code == 401
    assert ask(f"Bearer {OLD}").status_code == 200
    assert ask(f"Bearer {authority.mint()}").status_code == 200

    write_keys(NEW, "another-team-key")
    live_cluster.wait_for("the new key is taken", lambda: ask(f"Bearer {NEW}").status_code == 200)
    assert ask(f"Bearer {OLD}").status_code == 401
    assert live_cluster.server_pods(namespace=namespace) == pods, "no pod was replaced or restarted"
    assert is_true(model(), "Ready")
    assert is_true(model(), "Verified")

    log = live_cluster.kubectl("logs", "-n", namespace, "-l", SERVER, "-c", "runtime", "--tail=-1")
    lines = [json.loads(line) for line in log.splitlines()]
    assert any("were read again" in line["message"] for line in lines)
    assert not [part for part in (OLD, NEW, "private question") if part in log]
