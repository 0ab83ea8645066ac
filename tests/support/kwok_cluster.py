"""A cluster of a test's own without containers: API server, controllers and scheduler are real, kwok plays kubelets.

Each node has a kwok of its own, which may be killed as a kubelet dies. Pods get addresses that this machine takes for
its own (pod_addresses.py); what answers there, and says that a pod is ready, is pod_responder.py. A kwok does not know
which addresses the one before it gave to pods that are still there, so each has a range of its own.
"""

import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from pod_addresses import claimed_range
from private_apiserver import PrivateApiServer, running

from localcluster.binaries import ensure_client_tool

STAGES = sorted((Path(__file__).parent / "kwok").glob("*.yaml"))
DEADLINE_SECONDS = 60.0

# What each part may ask of the API server in a second. Their defaults (20 and 30, the scheduler's 50 and 100) are meant
# for a control plane shared with people; at 30 alone, 2000 pods of 500 models take minutes that no operator can save.
QUERIES_PER_SECOND = 1000
BURST = 2000
# Objects that one controller works on at the same time; 5 by default.
CONCURRENT_SYNCS = 20

CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "endpointslice-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "pod-garbage-collector-controller",
    "garbage-collector-controller",
    "disruption-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "resourcequota-controller",
    "horizontal-pod-autoscaler-controller",
)

# Kubelets have machines of their own. A kwok that has to wait for a processor plays stages of pods as they were long
# ago, again, and gives them second addresses, which the API server refuses.
KUBELET_NICENESS = -10

NODE_CAPACITY = {
    "cpu": "4000",
    "memory": "64Ti",
    "ephemeral-storage": "64Ti",
    "pods": "3000",
    "nvidia.com/gpu": "3000",
}


@dataclass(frozen=True)
class NodeTimes:
    """When a silent node counts as lost, in seconds; the defaults are Kubernetes' own.

    `lease_seconds` is what a kubelet holds its Lease for, which it renews after a quarter of that; `grace_seconds` the
    silence until the node is Unknown; `toleration_seconds` how long its pods stay on it from then on.
    """

    lease_seconds: int = 40
    grace_seconds: int = 50
    toleration_seconds: int = 300


@dataclass
class KwokCluster:
    """`pod_range` is this cluster's alone; `nodes` are the names of its nodes."""

    server: PrivateApiServer
    pod_range: IPv4Network
    nodes: Sequence[str]
    times: NodeTimes
    _unused_ranges: dict[str, IPv4Network] = field(init=False)  # by node

    def __post_init__(self) -> None:
        bits = (len(self.nodes) - 1).bit_length()
        self._unused_ranges = dict(zip(self.nodes, self.pod_range.subnets(prefixlen_diff=bits), strict=False))

    def start(self) -> None:
        """Start what is no API server, and wait until the nodes are ready and pods can be made."""
        kubeconfig = f"--kubeconfig={self.server.kubeconfig}"
        limits = (f"--kube-api-qps={QUERIES_PER_SECOND}", f"--kube-api-burst={BURST}")
        quiet = ("--secure-port=0", "--leader-elect=false", *limits)
        syncs = ("deployment", "replicaset", "job", "service-endpoint", "namespace")
        self.server.programs.start(
            "kube-controller-manager",
            kubeconfig,
            *quiet,
            f"--controllers={','.join(CONTROLLERS)}",
            *(f"--concurrent-{name}-syncs={CONCURRENT_SYNCS}" for name in syncs),
            f"--node-monitor-grace-period={self.times.grace_seconds}s",
            "--node-monitor-period=2s",
            "--horizontal-pod-autoscaler-sync-period=2s",
        )
        self.server.programs.start("kube-scheduler", kubeconfig, *quiet)
        for name in self.nodes:
            self.create_node(name)
            self.start_kubelet(name)
        self.wait_for("all nodes are ready", lambda: all(self.is_node_ready(name) for name in self.nodes))
        self.wait_for("the default service account", self._has_service_account)

    def create_node(self, node: str) -> None:
        """Register a node, as its kubelet does; nothing when it is there."""
        labels = {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node, "labels": labels},
            "status": {"capacity": NODE_CAPACITY, "allocatable": NODE_CAPACITY},
        }
        self._request_unless("POST", "/api/v1/nodes", body=body, answered=409)

    def start_kubelet(self, node: str) -> None:
        """Let a kwok care for the node, as a kubelet does from its start on."""
        number = list(self.nodes).index(node)
        # Else it waits until the Lease of the one before it has run out.
        lease = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}"
        self._request_unless("DELETE", lease, answered=404)
        self.server.programs.start(
            _kubelet(node),
            f"--kubeconfig={self.server.kubeconfig}",
            *(f"--config={stage}" for stage in STAGES),
            # By label, since then it watches all pods. For a watch of one node's pods the API server buffers ten
            # events, meant for the 110 pods of a kubelet, and ends it when there are more; with 2000 pods that happened
            # several times a second, and each time the kwok read and played all of them again.
            f"--manage-nodes-with-label-selector=kubernetes.io/hostname={node}",
            f"--node-ip={_node_address(number)}",
            f"--cidr={self._take_range(node)}",
            f"--node-lease-duration-seconds={self.times.lease_seconds}",
            program="kwok",
            niceness=KUBELET_NICENESS,
        )

    def kill_kubelet(self, node: str) -> None:
        """The node falls silent; its pods do not know."""
        self.server.programs.kill(_kubelet(node))

    def kubelet_runs(self, node: str) -> bool:
        return self.server.programs.runs(_kubelet(node))

    def owns(self, address: str) -> bool:
        """Whether it is an address of this cluster's pods."""
        return IPv4Address(address) in self.pod_range

    def is_node_ready(self, node: str) -> bool:
        conditions = self.server.request("GET", f"/api/v1/nodes/{node}").get("status", {}).get("conditions") or ()
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def wait_for(self, what: str, probe: Callable[[], object], *, seconds: float = DEADLINE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not probe():
            for name in ("kube-controller-manager", "kube-scheduler", "kube-apiserver"):
                self.server.programs.must_run(name)
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.1)

    def _take_range(self, node: str) -> IPv4Network:
        """Half of what no kwok of this node has had."""
        taken, self._unused_ranges[node] = self._unused_ranges[node].subnets()
        return taken

    def _has_service_account(self) -> bool:
        try:
            self.server.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True

    def _request_unless(self, method: str, path: str, *, answered: int, body: Mapping[str, Any] | None = None) -> None:
        """A call whose refusal with this status is as good."""
        try:
            self.server.request(method, path, body=body)
        except urllib.error.HTTPError as error:
            if error.code != answered:
                raise


@contextmanager
def kwok_cluster(folder: Path, *, nodes: int = 1, times: NodeTimes | None = None) -> Iterator[KwokCluster]:
    """A cluster of `nodes` nodes named node-0, node-1 and so on, whose pods have `claimed_range()` among them."""
    times = times or NodeTimes()
    ensure_client_tool("kwok")
    seconds = times.toleration_seconds
    server = PrivateApiServer(
        folder,
        service_range="10.100.0.0/16",
        has_controllers=True,
        arguments=(
            f"--default-not-ready-toleration-seconds={seconds}",
            f"--default-unreachable-toleration-seconds={seconds}",
        ),
    )
    with claimed_range() as pod_range, running(server):
        names = tuple(f"node-{number}" for number in range(nodes))
        cluster = KwokCluster(server=server, pod_range=pod_range, nodes=names, times=times)
        cluster.start()
        yield cluster


def _kubelet(node: str) -> str:
    return f"kwok-{node}"


def _node_address(number: int) -> str:
    """Of a range for documentation: nobody asks a node anything."""
    return f"192.0.2.{number + 1}"
