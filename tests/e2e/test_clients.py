"""Every real client gets its answers in a pod, from Services that the operator made.

The checks are those of tests/clients, in the same environments; only the addresses differ.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from client_expectations import EMBEDDER_NAMES, RERANKER_NAMES, write_expectations
from client_groups import group_names
from client_pods import run_group_in_a_pod
from live_cluster import LiveCluster, conditions_text, is_true
from local_hub import LocalHub
from models_under_test import embedding_model

NAMESPACE = "e2e-clients"
# The checks of the others differ in no way that a pod or a Service could see: they run on this machine (tests/clients).
ALWAYS = ("js", "llamaindex", "sdk")
KEY = "a-key-that-only-tests-know"
KEYS = "client-keys"
RERANKER_REPO = "acme/distilled-reranker"


@pytest.fixture(scope="module")
def reranker_folder() -> Path:
    """A small cross-encoder of ours, taught by MiniLM; trained on first use, about a minute."""
    from train_reranker import distilled_reranker

    return distilled_reranker()


@pytest.fixture(scope="module")
def expectations(minilm_folder: Path, reranker_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expectations")
    folder.chmod(0o755)  # pods run as another user
    return write_expectations(folder / "expectations.json", embedder=minilm_folder, reranker=reranker_folder)


def manifests() -> Mapping[str, Mapping[str, Any]]:
    """The three models by name."""
    embedder = {"servedNames": [{"name": name} for name in EMBEDDER_NAMES]}
    reranker = {"servedNames": [{"name": name} for name in RERANKER_NAMES]}
    guard = {"apiKeysSecretRef": {"name": KEYS}}
    return {
        "open": embedding_model("open", namespace=NAMESPACE, runtime=embedder),
        "guarded": embedding_model("guarded", namespace=NAMESPACE, runtime=embedder, auth=guard),
        "ranking": embedding_model("ranking", namespace=NAMESPACE, repo=RERANKER_REPO, runtime=reranker),
    }


@pytest.fixture(scope="module")
def environment(
    live_cluster: LiveCluster, hub: LocalHub, operator: str, reranker_folder: Path, expectations: Path
) -> Iterator[Mapping[str, str]]:
    """What the checks read: the Services of three models that are Ready, and what to expect of them."""
    hub.run("push", str(reranker_folder), RERANKER_REPO, "--branch", "main", "--force")
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": KEYS, "namespace": NAMESPACE},
        "stringData": {"embedding-api-keys": f"{KEY}\n"},
    }
    live_cluster.make_namespace(NAMESPACE)
    models = manifests()
    live_cluster.apply(secret, *models.values())
    urls = {name: wait_ready(live_cluster, name=name)["status"]["url"] for name in models}
    yield {
        "EMBEDDING_URL": urls["open"],
        "RERANK_URL": urls["ranking"],
        "GUARDED_URL": urls["guarded"],
        "GUARDED_KEY": KEY,
        "EXPECTATIONS": str(expectations),
    }
    live_cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def wait_ready(cluster: LiveCluster, *, name: str) -> Mapping[str, Any]:
    def ready() -> Mapping[str, Any] | None:
        found = cluster.must_get("embeddingmodel", name, namespace=NAMESPACE)
        return found if is_true(found, "Ready") else None

    try:
        return cluster.wait_for(f"{name} is Ready", ready, seconds=300)
    except AssertionError as error:
        now = cluster.must_get("embeddingmodel", name, namespace=NAMESPACE)
        raise AssertionError(f"{error}\n{conditions_text(now)}") from None


@pytest.mark.parametrize(
    "group", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.soak) for name in group_names()]
)
def test_a_pod_with_the_clients_gets_its_answers_through_the_services(
    group: str, environment: Mapping[str, str], live_cluster: LiveCluster, cluster_status: Mapping[str, Any]
) -> None:
    ended = run_group_in_a_pod(
        group,
        cluster=live_cluster,
        namespace=NAMESPACE,
        image=cluster_status["images"]["runtime"],
        environment=environment,
    )
    ended.passed()
