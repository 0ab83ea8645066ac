"""Each thing that can be wrong has its own clear reason, crashes nothing, and heals when its cause goes away."""

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from live_cluster import KubectlError, LiveCluster, condition, is_true
from local_hub import LocalHub
from models_under_test import RESOURCES, embedding_model, reference_vectors, vector_golden

WaitCondition = Callable[..., Mapping[str, Any]]


def operator_restarts(cluster: LiveCluster, *, namespace: str) -> int:
    pods = cluster.list("pods", namespace=namespace, labels="app.kubernetes.io/name=embedding-operator")
    return sum(item["restartCount"] for pod in pods for item in pod["status"].get("containerStatuses", ()))


@pytest.fixture(autouse=True)
def _operator_survives(live_cluster: LiveCluster, operator: str) -> Any:
    before = operator_restarts(live_cluster, namespace=operator)
    yield
    assert operator_restarts(live_cluster, namespace=operator) == before, "the operator crashed"


def test_a_missing_repository_is_named_and_heals_when_it_is_pushed(
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    push: Callable[..., str],
    minilm_folder: Path,
    hub: LocalHub,
) -> None:
    repo = f"acme/{uuid4().hex}"  # the hub keeps what earlier runs pushed
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=repo))
    found = wait_condition("Resolved", "False", reason="RepositoryNotFound")
    assert repo in found["message"]
    push(minilm_folder, repo)
    wait_ready(seconds=420)


def test_a_gated_repository_without_a_token_is_refused_and_heals_when_opened(
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    push: Callable[..., str],
    minilm_folder: Path,
    hub: LocalHub,
) -> None:
    repo = f"gated/{uuid4().hex}"
    push(minilm_folder, repo)
    hub.run("gate", repo)
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=repo))
    found = wait_condition("Resolved", "False", reason="AccessDenied")
    assert repo in found["message"]
    hub.run("gate", repo, "--open")
    wait_ready(seconds=420)


def test_a_hub_that_is_down_is_waited_for(
    apply_model: Callable[..., Any],
    hub: LocalHub,
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    model: Callable[..., Mapping[str, Any]],
) -> None:
    hub.run("stop")
    apply_model()
    wait_condition("Resolved", "False", reason="HubUnavailable")
    waiting = model()
    assert is_true(waiting, "Reconciling")
    assert condition(waiting, "Stalled") is None
    hub.run("start")
    wait_ready(seconds=420)


def test_a_missing_volume_claim_is_named_and_heals_when_it_is_made(
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: WaitCondition,
    model: Callable[..., Mapping[str, Any]],
) -> None:
    manifest = embedding_model(
        "minilm",
        namespace=namespace,
        model={"persistentVolumeClaim": {"claimName": "not-there", "path": "/bge"}},
    )
    live_cluster.apply(manifest)
    found = wait_condition("Resolved", "False", reason="VolumeNotFound")
    assert "not-there" in found["message"]
    live_cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "not-there", "namespace": namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
    )
    # The claim is there now but empty: the trouble moves on to what is on it.
    found = wait_condition("Resolved", "False", reason="MissingFile", seconds=240)
    assert "/bge" in found["message"]


def test_an_image_that_does_not_exist_is_reported_in_the_kubelets_words_and_heals(
    apply_model: Callable[..., Any],
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
) -> None:
    apply_model(runtime={"profile": "missing-image"})
    found = wait_condition("Ready", "False", reason="ImageUnavailable")
    assert "does-not-exist" in found["message"]
    apply_model(runtime={"profile": "cpu"})
    wait_ready()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"embedding": {"pooling": "Average"}}, "Unsupported value", id="unknown pooling"),
        pytest.param(
            {"verification": {"goldens": [{"name": "x", "input": "text", "vector": "not base64!"}]}},
            "base64",
            id="malformed base64",
        ),
        pytest.param({"replicas": -1}, "should be greater than or equal to 0", id="negative replicas"),
    ],
)
def test_a_static_mistake_is_refused_at_admission(
    apply_model: Callable[..., Any], spec: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(KubectlError, match=words):
        apply_model(**spec)


def test_a_name_of_fifty_one_characters_is_refused_with_the_rule(apply_model: Callable[..., Any]) -> None:
    apply_model("a" * 50, suspend=True)
    with pytest.raises(KubectlError, match="50"):
        apply_model("a" * 51)


def test_pooling_that_the_repository_declares_wrongly_is_refused(
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    push: Callable[..., str],
    minilm_folder: Path,
    tmp_path: Path,
) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(minilm_folder, folder)
    (folder / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 384, "pooling_mode": "average"}')
    repo = f"acme/{uuid4().hex}"  # the hub keeps what earlier runs pushed
    push(folder, repo)
    live_cluster.apply(embedding_model("minilm", namespace=namespace, repo=repo))
    found = wait_condition("Resolved", "False")
    assert "1_Pooling/config.json" in found["message"]
    live_cluster.apply(embedding_model("minilm", namespace=namespace))
    wait_ready()


def test_a_golden_of_the_wrong_length_names_the_case_and_both_lengths_and_heals(
    apply_model: Callable[..., Any],
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    minilm_folder: Path,
) -> None:
    short = vector_golden("short", text="hello", vector=np.ones(100, dtype=np.float32))
    apply_model(verification={"goldens": [short]})
    found = wait_condition("Stalled", "True", reason="InvalidGolden")
    assert "short" in found["message"]
    assert "100" in found["message"]
    assert "384" in found["message"]
    right = vector_golden("short", text="hello", vector=reference_vectors(minilm_folder, texts=["hello"])[0])
    apply_model(verification={"goldens": [right]})
    wait_ready()


def test_base64_that_is_no_float32_sequence_in_a_config_map_is_refused_and_heals(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    minilm_folder: Path,
) -> None:
    def goldens(vector: str) -> Mapping[str, Any]:
        line = f'{{"name": "odd", "input": "hello", "vector": "{vector}"}}\n'
        metadata = {"name": "goldens", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"goldens.jsonl": line}}

    live_cluster.apply(goldens("@@@"))
    apply_model(verification={"goldensConfigMapRef": {"name": "goldens"}})
    found = wait_condition("Stalled", "True", reason="InvalidGolden")
    assert "odd" in found["message"]
    vector = reference_vectors(minilm_folder, texts=["hello"])[0]
    live_cluster.apply(goldens(base64.b64encode(vector.astype("<f4").tobytes()).decode()))
    # A user's ConfigMap is read at each reconcile, not watched; the documented way to ask at once:
    live_cluster.kubectl(
        "annotate", "em", "minilm", "-n", namespace, "embedding-operator.dev/requestedAt=now", "--overwrite"
    )
    healed = wait_ready()
    assert healed["status"]["lastHandledRequest"] == "now"


def test_no_replicas_is_ready_and_says_so_and_comes_back(
    apply_model: Callable[..., Any],
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
) -> None:
    apply_model(replicas=0)
    wait_condition("Ready", "True", reason="ScaledToZero")
    assert live_cluster.list("pods", namespace=namespace) == []
    live_cluster.kubectl("scale", "em/minilm", "-n", namespace, "--replicas=1")
    found = wait_ready()
    assert found["status"]["readyReplicas"] == 1


def test_too_little_memory_on_every_node_is_reported_in_the_schedulers_words(
    apply_model: Callable[..., Any],
    wait_condition: WaitCondition,
    wait_ready: Callable[..., Any],
    model: Callable[..., Mapping[str, Any]],
) -> None:
    apply_model(resources={"requests": {"memory": "10Ti"}})
    found = wait_condition("Ready", "False", reason="InsufficientCapacity")
    assert "Insufficient memory" in found["message"]
    assert condition(model(), "Stalled") is None
    apply_model(resources=RESOURCES)
    wait_ready()
