"""The cluster that these tests stand on is a true one: pods run, and endpoints follow their readiness."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from kwok_cluster import KwokCluster, kwok_cluster
from live_cluster import LiveCluster

PODS = 20
NAMESPACE = "default"

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwokCluster]:
    with kwok_cluster(tmp_path_factory.mktemp("rig"), nodes=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster(rig: KwokCluster, kubectl: Path) -> LiveCluster:
    return LiveCluster(
        kubectl_binary=str(kubectl),
        kubeconfig=rig.server.kubeconfig,
        audit_log=rig.server.audit_log,
    )


def deployment(name: str, *, replicas: int, probe: Mapping[str, Any] | None) -> Mapping[str, Any]:
    container = {"name": "server", "image": "registry.example/server:1"} | ({"readinessProbe": probe} if probe else {})
    init = {"name": "fetch", "image": "registry.example/fetch:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"initContainers": [init], "containers": [container]},
            },
        },
    }


def service(name: str) -> Mapping[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def ready_addresses(cluster: LiveCluster, name: str) -> Sequence[str]:
    slices = cluster.list("endpointslices", namespace=NAMESPACE, labels=f"kubernetes.io/service-name={name}")
    return sorted(
        endpoint["addresses"][0]
        for item in slices
        for endpoint in item.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
    )


def test_a_deployment_of_20_pods_runs_on_both_nodes_and_its_endpoints_are_listed(
    rig: KwokCluster, cluster: LiveCluster
) -> None:
    cluster.apply(service("plain"), deployment("plain", replicas=PODS, probe=None))
    cluster.kubectl("rollout", "status", "deployment/plain", "-n", NAMESPACE, "--timeout=60s")
    pods = cluster.list("pods", namespace=NAMESPACE, labels="app=plain")
    addresses = sorted(pod["status"]["podIP"] for pod in pods)
    assert len(set(addresses)) == PODS
    assert {pod["spec"]["nodeName"] for pod in pods} == set(rig.nodes)
    assert all(rig.owns(address) for address in addresses)
    cluster.wait_for("every pod is an endpoint", lambda: ready_addresses(cluster, "plain") == addresses, seconds=60)
    first = pods[0]["status"]
    assert first["initContainerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert "running" in first["containerStatuses"][0]["state"]


def test_a_pod_with_a_readiness_probe_is_no_endpoint_until_it_is_said_to_be_ready(cluster: LiveCluster) -> None:
    probe = {"httpGet": {"path": "/ready", "port": 8081}}
    cluster.apply(service("probed"), deployment("probed", replicas=1, probe=probe))

    def started() -> Mapping[str, Any] | None:
        pods = cluster.list("pods", namespace=NAMESPACE, labels="app=probed")
        return next((pod for pod in pods if pod["status"]["phase"] == "Running"), None)

    pod = cluster.wait_for("the pod runs", started, seconds=60)
    conditions = {item["type"]: item for item in pod["status"]["conditions"]}
    assert {kind: conditions[kind]["status"] for kind in ("PodScheduled", "Initialized", "Ready")} == {
        "PodScheduled": "True",
        "Initialized": "True",
        "Ready": "False",
    }
    assert conditions["Ready"]["message"] == "containers with unready status: [server]"
    assert not ready_addresses(cluster, "probed")
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": None, "message": None}]}
    name = pod["metadata"]["name"]
    cluster.kubectl(
        *("patch", "pod", name, "-n", NAMESPACE, "--subresource=status", "--type=strategic"),
        *("-p", json.dumps({"status": ready})),
    )
    cluster.wait_for("the pod is an endpoint", lambda: ready_addresses(cluster, "probed"), seconds=60)
    cluster.delete("deployment", "probed", namespace=NAMESPACE, wait=False)
    cluster.wait_for(
        "the pod is gone", lambda: not cluster.list("pods", namespace=NAMESPACE, labels="app=probed"), seconds=60
    )


def test_a_kubelet_that_starts_again_gives_no_address_of_a_pod_that_is_there(
    rig: KwokCluster, cluster: LiveCluster
) -> None:
    for name in ("before", "after"):
        cluster.apply(deployment(name, replicas=4, probe=None))
        cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", NAMESPACE, "--timeout=60s")
        for node in rig.nodes:
            rig.kill_kubelet(node)
            rig.start_kubelet(node)
    pods = cluster.list("pods", namespace=NAMESPACE)
    assert len({pod["status"]["podIP"] for pod in pods}) == len(pods)
    cluster.kubectl("delete", "deployment", "before", "after", "-n", NAMESPACE)


def test_a_job_lets_go_of_its_pod(cluster: LiveCluster) -> None:
    container = {"name": "work", "image": "registry.example/work:1"}
    cluster.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "work", "namespace": NAMESPACE},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
        }
    )
    cluster.wait_for(
        "the Job's pod is ready",
        lambda: cluster.must_get("job", "work", namespace=NAMESPACE).get("status", {}).get("ready") == 1,
        seconds=60,
    )
    cluster.delete("job", "work", namespace=NAMESPACE)
    cluster.wait_for(
        "its pod is gone", lambda: not cluster.list("pods", namespace=NAMESPACE, labels="job-name=work"), seconds=60
    )
