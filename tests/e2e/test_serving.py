"""A model applied by a user answers with the numbers of the reference implementation."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_cluster import LiveCluster
from models_under_test import cosine, embedding_model, reference_vectors, texts_of_many_lengths
from openai import OpenAI

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(apply_model: Callable[..., Any], live_cluster: LiveCluster, namespace: str) -> Mapping[str, Any]:
    """minilm after `kubectl wait --for=condition=Ready`."""
    apply_model()
    live_cluster.kubectl("wait", "--for=condition=Ready", "em/minilm", "-n", namespace, "--timeout=300s")
    return live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)


def test_every_text_from_one_to_five_hundred_tokens_equals_sentence_transformers(
    served: Mapping[str, Any], live_cluster: LiveCluster, namespace: str, minilm_folder: Path, cluster_status: Any
) -> None:
    texts = texts_of_many_lengths(200)
    reference = reference_vectors(minilm_folder, texts=texts)

    address = live_cluster.service_address("minilm", namespace=namespace)
    with OpenAI(base_url=f"http://{address}/v1", api_key="none") as client:
        answer = client.embeddings.create(model="sentence-transformers/all-MiniLM-L6-v2", input=texts)
        alone = client.embeddings.create(model="minilm", input=texts[57])
    from_host = np.asarray([row.embedding for row in answer.data], dtype=np.float32)
    assert min(map(cosine, from_host, reference)) >= 0.9999
    assert cosine(np.asarray(alone.data[0].embedding, dtype=np.float32), reference[57]) >= 0.9999

    from_pod = embed_from_a_pod(
        live_cluster, namespace=namespace, url=served["status"]["url"] + "/v1", texts=texts, status=cluster_status
    )
    assert min(map(cosine, from_pod, reference)) >= 0.9999


CLIENT_PROGRAM = """
import json, sys
from openai import OpenAI
request = json.load(open("/request/request.json"))
client = OpenAI(base_url=request["url"], api_key="none")
answer = client.embeddings.create(model="minilm", input=request["texts"])
print(json.dumps([[round(value, 7) for value in row.embedding] for row in answer.data]))
"""


def embed_from_a_pod(
    cluster: LiveCluster, *, namespace: str, url: str, texts: Sequence[str], status: Mapping[str, Any]
) -> Any:
    """Vectors of the texts, asked with the OpenAI SDK inside a pod that knows only the Service's DNS name."""
    site_packages = subprocess.run(
        [
            str(ROOT / ".venv/bin/python"),
            "-c",
            "import openai, pathlib; print(pathlib.Path(openai.__file__).parents[1])",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    metadata = {"name": "openai-client", "namespace": namespace}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"request.json": json.dumps({"url": url, "texts": list(texts)})},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "restartPolicy": "Never",
                "containers": [
                    {
                        "name": "client",
                        "image": status["images"]["runtime"],
                        "command": ["/opt/venv/bin/python", "-c", CLIENT_PROGRAM],
                        "env": [{"name": "PYTHONPATH", "value": "/sdk"}],
                        "volumeMounts": [
                            {"name": "sdk", "mountPath": "/sdk", "readOnly": True},
                            {"name": "request", "mountPath": "/request"},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "sdk", "hostPath": {"path": site_packages}},
                    {"name": "request", "configMap": {"name": "openai-client"}},
                ],
            },
        },
    )

    def ended() -> str | None:
        phase = cluster.must_get("pod", "openai-client", namespace=namespace)["status"]["phase"]
        return phase if phase in ("Succeeded", "Failed") else None

    phase = cluster.wait_for("the client's pod has ended", ended, seconds=180)
    output = cluster.kubectl("logs", "openai-client", "-n", namespace)
    assert phase == "Succeeded", output[-2000:]
    return np.asarray(json.loads(output.strip().splitlines()[-1]), dtype=np.float32)


def test_kubectl_get_prints_task_revision_dimensions_and_verification(
    served: Mapping[str, Any], live_cluster: LiveCluster, namespace: str
) -> None:
    header, row = live_cluster.kubectl("get", "em", "-n", namespace).strip().splitlines()
    assert header.split() == ["NAME", "TASK", "REVISION", "DIM", "VERIFIED", "READY", "REPLICAS", "AGE"]
    assert row.split()[:4] == ["minilm", "Embedding", served["status"]["model"]["shortRevision"], "384"]
    live_cluster.wait_for(
        "the device really used is shown",
        lambda: live_cluster.must_get("em", "minilm", namespace=namespace)["status"]["pods"].get("device") == "cpu",
    )
    wide = live_cluster.kubectl("get", "em", "-n", namespace, "-o", "wide")
    assert "MODEL" in wide
    assert served["status"]["space"]["fingerprint"] in wide
    assert f"http://minilm.{namespace}.svc:80" in wide


def test_the_pods_pass_the_restricted_pod_security_profile(
    live_cluster: LiveCluster, namespace: str, wait_ready: Callable[..., Any]
) -> None:
    live_cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    live_cluster.apply(embedding_model("minilm", namespace=namespace))
    wait_ready()
