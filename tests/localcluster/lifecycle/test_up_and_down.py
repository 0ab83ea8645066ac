"""The local cluster survives every crash, and leaves nothing behind.

These tests kill the running cluster and take it down: what was deployed on it is gone afterwards. So they are a layer
of their own, the last one, and left out where somebody's cluster runs. To run them alone:

    .venv/bin/pytest -m e2e tests/localcluster/lifecycle
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from live_cluster import LiveCluster

from localcluster import cgroups, layout, network, teardown
from localcluster.local import PARTS
from localcluster.processes import running_pid, start_time

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/opt/venv/bin/python"


def cluster(*arguments: str) -> subprocess.CompletedProcess[str]:
    result = subprocess.run([str(ROOT / "hack" / "cluster"), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result


def pids() -> Mapping[str, int | None]:
    return {name: running_pid(name) for name in PARTS}


def kill(*targets: int) -> None:
    for pid in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def running(cluster_status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A running cluster, before and after."""
    cluster("up")
    yield cluster_status
    cluster("up")


@pytest.fixture
def namespace(running: Mapping[str, Any], live_cluster: LiveCluster) -> Iterator[str]:
    name = "lifecycle"
    live_cluster.kubectl("delete", "namespace", name, "--ignore-not-found")
    live_cluster.kubectl("create", "namespace", name)
    yield name
    live_cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def deploy(running: Mapping[str, Any], live_cluster: LiveCluster, namespace: str) -> Callable[[], None]:
    """Deploy a web server with a volume, and wait until it is available."""

    def apply() -> None:
        labels = {"app": "web"}
        container = {
            "name": "web",
            "image": running["images"]["operator"],
            "command": [PYTHON, "-m", "http.server", "8080", "--directory", "/data"],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "memory", "mountPath": "/memory"}],
        }
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
        volumes = [
            {"name": "data", "persistentVolumeClaim": {"claimName": "web"}},
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
        ]
        metadata = {"name": "web", "namespace": namespace}
        spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 1}
        template = {"metadata": {"labels": labels}, "spec": spec}
        live_cluster.apply(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
            },
        )
        live_cluster.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")

    return apply


def wait_for_restarted_pods(live_cluster: LiveCluster, namespace: str) -> None:
    """Until both pods have been restarted and are ready. A kubelet that is busy may need more than one restart."""

    def container_statuses() -> list[Mapping[str, Any]]:
        pods = live_cluster.list("pod", namespace=namespace)
        return [status for pod in pods for status in pod["status"].get("containerStatuses", ())]

    def recovered() -> bool:
        return [status["ready"] and status["restartCount"] >= 1 for status in container_statuses()] == [True, True]

    try:
        live_cluster.wait_for("two restarted pods that are ready", recovered, seconds=240)
    except AssertionError as error:
        error.add_note(json.dumps(container_statuses(), indent=1))
        error.add_note(live_cluster.kubectl("get", "events", "-n", namespace, "--sort-by=.lastTimestamp"))
        raise


def test_up_on_a_running_cluster_starts_nothing(running: Mapping[str, Any]) -> None:
    before = pids()
    assert None not in before.values(), before
    assert "the cluster is up" in cluster("up").stderr
    assert pids() == before


@pytest.mark.parametrize("part", ["kube-apiserver", "etcd", "kubelet", "coredns", "registry", "local-provisioner"])
def test_up_starts_only_the_part_that_was_killed(running: Mapping[str, Any], part: str) -> None:
    before = pids()
    victim = before[part]
    assert victim
    kill(victim)
    cluster("up")
    after = pids()
    assert after[part] not in (None, victim)
    # The others may end by themselves when the API server stays away; all that must be is that everything runs.
    assert None not in after.values(), after
    assert after["containerd"] == before["containerd"]


def test_everything_killed_at_once_comes_back_with_its_objects_and_pods(
    deploy: Callable[[], None], live_cluster: LiveCluster, namespace: str
) -> None:
    deploy()
    pods = {pod["metadata"]["uid"] for pod in live_cluster.list("pod", namespace=namespace)}
    kill(*(pid for pid in pids().values() if pid), *teardown.shim_pids(), *cgroups.pids())
    assert teardown.mounts(), "the crash left no mounts behind: it was none"
    cluster("up")
    wait_for_restarted_pods(live_cluster, namespace)
    assert {pod["metadata"]["uid"] for pod in live_cluster.list("pod", namespace=namespace)} == pods
    address = live_cluster.list("pod", namespace=namespace)[0]["status"]["podIP"]
    host_fetch = ["curl", "--silent", "--fail", "--max-time", "5", f"http://{address}:8080/"]
    assert subprocess.run(host_fetch, capture_output=True, check=False).returncode == 0


def test_containerd_killed_alone_does_not_leave_two_sets_of_pods(
    deploy: Callable[[], None], live_cluster: LiveCluster, namespace: str
) -> None:
    deploy()
    victim = running_pid("containerd")
    assert victim
    old_shims = teardown.shim_pids()
    kill(victim)
    cluster("up")
    wait_for_restarted_pods(live_cluster, namespace)
    assert not [pid for pid in old_shims if start_time(pid)]


@pytest.mark.parametrize("crash_first", [False, True], ids=["running", "after a crash"])
def test_down_leaves_nothing_behind_but_caches(
    deploy: Callable[[], None], live_cluster: LiveCluster, crash_first: bool
) -> None:
    deploy()
    if crash_first:
        kill(*(pid for pid in pids().values() if pid))
    images = json.loads(cluster("status", "-o", "json", "--no-disk").stdout)["images"]
    started = [pid for pid in [*pids().values(), *teardown.shim_pids(), *cgroups.pids()] if pid]
    with contextlib.ExitStack() as held:
        for pid in cgroups.pids():  # as a connection that was cut off holds its pod's network for minutes
            held.enter_context(Path(f"/proc/{pid}/ns/net").open())
        cluster("down")
        assert "veth" not in subprocess.check_output(["ip", "-brief", "link"], text=True)
    assert [pid for pid in started if start_time(pid)] == []
    assert teardown.shim_pids() == []
    assert teardown.mounts() == []
    assert cgroups.roots() == []
    assert not network.has_address()
    assert layout.BRIDGE not in subprocess.check_output(["ip", "-brief", "link"], text=True)
    assert "kube-proxy" not in subprocess.check_output(["nft", "list", "tables"], text=True)
    for folder in (layout.STATE, layout.RUN, Path("/var/lib/kubelet")):
        assert not folder.exists(), folder
    logs = Path("/var/log/containers")  # another cluster of this machine may have left its own there
    assert not logs.exists() or not [link for link in logs.iterdir() if link.readlink().is_relative_to(layout.STATE)]
    for folder in (Path("/run/containerd/s"), Path("/var/lib/cni/results")):
        assert not folder.exists() or not list(folder.iterdir()), folder
    assert layout.REGISTRY_DATA.exists()
    assert layout.CONTAINERD_ROOT.exists()
    status = json.loads(cluster("status", "-o", "json", "--no-disk").stdout)
    assert status["running"] is False
    assert status["images"] == images
    cluster("down")
    cluster("up")
    assert json.loads(cluster("status", "-o", "json", "--no-disk").stdout)["running"] is True


def test_images_stay_usable_over_down_and_up(deploy: Callable[[], None], live_cluster: LiveCluster) -> None:
    deploy()
    cluster("down")
    cluster("up")
    live_cluster.kubectl("create", "namespace", "lifecycle")
    deploy()


def test_the_control_plane_alone_can_be_completed_to_a_whole_cluster(running: Mapping[str, Any]) -> None:
    cluster("down")
    cluster("up", "--control-plane-only")
    assert running_pid("kube-apiserver")
    assert running_pid("kubelet") is None
    assert json.loads(cluster("status", "-o", "json", "--no-disk").stdout)["running"] is False
    cluster("up")
    assert None not in pids().values()


def test_a_port_that_another_program_holds_is_named(running: Mapping[str, Any]) -> None:
    cluster("down")
    with subprocess.Popen(
        [
            "python3",
            "-c",
            "import socket; s = socket.create_server(('127.0.0.1', 2379)); print('x', flush=True); s.accept()",
        ],
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        result = subprocess.run([str(ROOT / "hack" / "cluster"), "up"], capture_output=True, text=True, check=False)
        holder.kill()
    assert result.returncode == 1
    assert "port 2379, which etcd needs, is taken by another program" in result.stderr
    assert not layout.STATE.exists(), "a machine that was refused did not stay as it was"
