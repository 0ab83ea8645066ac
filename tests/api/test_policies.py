"""The admission policies that are offered to administrators do what they say, on a real API server."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml
from private_apiserver import PrivateApiServer, private_apiserver

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "examples" / "policies" / "limit-secrets.yaml"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
MODELS = "/apis/embedding-operator.dev/v1alpha1/namespaces/default/embeddingmodels"

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateApiServer]:
    """A private one: a policy of the shared cluster would meet the models of other tests."""
    with private_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        server.install_crd(ROOT / "crds" / "embeddingmodels.embedding-operator.dev.yaml")
        policy, binding = yaml.safe_load_all(POLICY.read_text())
        server.request("POST", f"{ADMISSION}/validatingadmissionpolicies", body=policy)
        server.request("POST", f"{ADMISSION}/validatingadmissionpolicybindings", body=binding)
        yield server


def model(secret: str | None) -> Mapping[str, Any]:
    token = {"tokenSecretRef": {"name": secret}} if secret else {}
    return {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": "tiny"},
        "spec": {"model": {"huggingFace": {"repo": "acme/tiny", **token}}},
    }


def is_accepted(server: PrivateApiServer, *, secret: str | None) -> bool:
    try:
        server.request("POST", f"{MODELS}?dryRun=All", body=model(secret))
    except HTTPError as error:
        message = json.loads(error.read())["message"]
        assert "name a Secret whose name begins with hf-" in message, message
        return False
    return True


def test_only_secrets_of_the_agreed_name_can_be_named(server: PrivateApiServer) -> None:
    wait_until_in_force(server)
    assert is_accepted(server, secret="hf-token")
    assert is_accepted(server, secret=None)


def wait_until_in_force(server: PrivateApiServer) -> None:
    """A policy takes a moment to reach the API server's own cache."""
    deadline = time.monotonic() + 60
    while is_accepted(server, secret="database"):
        assert time.monotonic() < deadline, "the policy is not in force"
        time.sleep(0.1)
