"""What the cluster offers to pods: names, Service addresses, volumes, GPUs, an audit trail."""

import json
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from live_cluster import LiveCluster

pytestmark = pytest.mark.e2e

PYTHON = "/opt/venv/bin/python"
PodSpecOf = Callable[..., dict[str, Any]]


@pytest.fixture
def image(cluster_status: Mapping[str, Any]) -> str:
    reference: str = cluster_status["images"]["operator"]
    return reference


@pytest.fixture
def web(live_cluster: LiveCluster, namespace: str, image: str, pod_spec_of: PodSpecOf) -> str:
    """A web server of two pods behind the Service `web`; answers the Service's address."""
    spec = pod_spec_of(
        image,
        command=[PYTHON, "-m", "http.server", "8080", "--directory", "/opt/app"],
        readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    )
    labels = {"app": "web"}
    live_cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    live_cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")
    address: str = live_cluster.must_get("service", "web", namespace=namespace)["spec"]["clusterIP"]
    return address


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_service_answers_by_address_from_the_host(live_cluster: LiveCluster, web: str) -> None:
    live_cluster.wait_for("answer of the Service", lambda: answers(f"http://{web}/"), seconds=30)


def test_a_service_answers_by_name_from_a_pod_also_through_its_own_node(
    live_cluster: LiveCluster, namespace: str, web: str, image: str, run_to_end: Callable[..., str]
) -> None:
    live_cluster.wait_for("answer of the Service", lambda: answers(f"http://{web}/"), seconds=30)
    # More requests than pods: each of the two lies on the same bridge as the caller.
    code = (
        "import urllib.request as r;"
        f"urls = ['http://web/', 'http://web.{namespace}.svc.cluster.local:80/'] * 8;"
        "print({r.urlopen(url, timeout=10).status for url in urls})"
    )
    assert run_to_end(image, command=[PYTHON, "-c", code]).strip() == "{200}"


def test_a_pod_reaches_the_api_server_at_its_service_address(image: str, run_to_end: Callable[..., str]) -> None:
    code = (
        "import ssl, urllib.request as r;"
        "c = ssl._create_unverified_context();"
        "print(r.urlopen('https://kubernetes.default.svc/readyz', context=c, timeout=10).read().decode())"
    )
    assert run_to_end(image, command=[PYTHON, "-c", code]).strip() == "ok"


@pytest.mark.parametrize(("storage_class", "is_bound_first"), [(None, False), ("local-immediate", True)])
def test_a_claim_becomes_a_folder_of_the_machine_that_goes_with_it(
    live_cluster: LiveCluster,
    namespace: str,
    image: str,
    pod_spec_of: PodSpecOf,
    await_end: Callable[[str], None],
    storage_class: str | None,
    is_bound_first: bool,
) -> None:
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }
    spec = pod_spec_of(
        image,
        command=[PYTHON, "-c", "open('/data/written', 'w').write('by the pod')"],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
    )
    spec |= {
        "restartPolicy": "Never",
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    metadata = {"name": "data", "namespace": namespace}

    def phase() -> str:
        return str(live_cluster.must_get("pvc", "data", namespace=namespace)["status"].get("phase"))

    live_cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
    if is_bound_first:
        live_cluster.wait_for("the claim is bound before there is a pod", lambda: phase() == "Bound", seconds=60)
    live_cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await_end("data")
    volume = live_cluster.must_get("pvc", "data", namespace=namespace)["spec"]["volumeName"]
    path = Path(json.loads(live_cluster.kubectl("get", "pv", volume, "-o", "json"))["spec"]["local"]["path"])
    assert (path / "written").read_text() == "by the pod"
    live_cluster.delete("pod", "data", namespace=namespace)
    live_cluster.delete("pvc", "data", namespace=namespace)
    live_cluster.wait_for("removal of the folder", lambda: not path.exists(), seconds=60)


def test_gpus_are_counted_and_the_third_pod_waits(
    live_cluster: LiveCluster, namespace: str, image: str, pod_spec_of: PodSpecOf
) -> None:
    spec = pod_spec_of(
        image, command=[PYTHON, "-c", "import signal; signal.pause()"], resources={"limits": {"nvidia.com/gpu": 1}}
    )

    def free_gpus() -> int:
        [node] = live_cluster.list("node")
        pods = [pod for pod in live_cluster.list("pod") if pod["status"]["phase"] in ("Pending", "Running")]
        taken = sum(
            int(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0))
            for pod in pods
            for container in pod["spec"]["containers"]
            if pod["spec"].get("nodeName")
        )
        return int(node["status"]["allocatable"]["nvidia.com/gpu"]) - taken

    live_cluster.wait_for("two free GPUs", lambda: free_gpus() == 2, seconds=60)
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"gpu-{i}", "namespace": namespace}, "spec": spec}
        for i in range(3)
    ]
    live_cluster.apply(*pods)

    def unschedulable() -> list[str]:
        found = []
        for pod in live_cluster.list("pod", namespace=namespace):
            for condition in pod["status"].get("conditions", ()):
                if condition.get("reason") == "Unschedulable":
                    found.append(condition["message"])
        return found

    [message] = live_cluster.wait_for("a pod without a GPU", unschedulable, seconds=60)
    assert "Insufficient nvidia.com/gpu" in message
    live_cluster.wait_for("both others are bound", lambda: free_gpus() == 0, seconds=60)


def test_writes_are_in_the_audit_log_before_the_writer_has_its_answer(
    live_cluster: LiveCluster, namespace: str
) -> None:
    offset = live_cluster.audit_offset()
    live_cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "noted", "namespace": namespace}})
    verbs = [
        event["verb"]
        for event in live_cluster.audit_events(since_offset=offset)
        if event.get("objectRef", {}).get("name") == "noted" and event["objectRef"].get("namespace") == namespace
    ]
    assert {"create", "patch"}.intersection(verbs), verbs
