"""The operator as a process on a cluster of simulated nodes, which may be drained, lost and deleted."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kwok_cluster import KwokCluster
from live_cluster import LiveCluster, condition, conditions_text, is_true
from operator_under_test import OperatorProcess, OperatorWorld, embedding_model
from pod_responder import PodResponder

Object = Mapping[str, Any]
REPO = "acme/tiny"
GIVE_UP_SECONDS = 300.0
SERVERS = "embedding-operator.dev/component=server"

# Paths of a namespace's collections.
MODELS = "/apis/embedding-operator.dev/v1alpha1/namespaces/{}/embeddingmodels"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


@dataclass(frozen=True)
class NodesWorld:
    rig: KwokCluster
    responder: PodResponder
    operator: OperatorWorld
    replica: OperatorProcess

    @property
    def cluster(self) -> LiveCluster:
        return self.operator.cluster

    def apply(self, name: str, *, namespace: str, repo: str = REPO, **spec: Any) -> None:
        self.cluster.apply(embedding_model(name, repo=repo, namespace=namespace, **spec))

    def serve(self, name: str, *, namespace: str, **spec: Any) -> None:
        """Apply a model and wait until it is Ready."""
        self.apply(name, namespace=namespace, **spec)
        self.wait_ready(name, namespace=namespace)

    def wait_ready(self, name: str, *, namespace: str, replicas: int | None = None) -> Object:
        """With `replicas`: as many ready pods as that, by its status."""

        def ready() -> Object | None:
            found = self.model(name, namespace=namespace)
            counted = replicas is None or found["status"].get("readyReplicas") == replicas
            return found if is_true(found, "Ready") and counted else None

        return self._wait(f"{name} is ready", ready, name=name, namespace=namespace)

    def wait_reason(self, name: str, *, namespace: str, kind: str, reason: str) -> Object:
        """The condition of that type, once it gives this reason."""

        def said() -> Object | None:
            found = condition(self.model(name, namespace=namespace), kind)
            return found if found and found["reason"] == reason else None

        return self._wait(f"{kind} of {name} says {reason}", said, name=name, namespace=namespace)

    def model(self, name: str, *, namespace: str) -> Object:
        return self.cluster.must_get("embeddingmodel", name, namespace=namespace)

    def pods(self, *, namespace: str) -> Sequence[Object]:
        """Serving pods that are not being deleted and have not ended."""
        return [
            pod
            for pod in self.cluster.list("pods", namespace=namespace, labels=SERVERS)
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")
        ]

    def drain(self, node: str) -> str:
        """`kubectl drain` to its end; what it said."""
        command = [self.cluster.kubectl_binary, "--kubeconfig", str(self.cluster.kubeconfig), "drain", node]
        options = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=90s"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def cordon(self, node: str) -> None:
        self.cluster.kubectl("cordon", node)

    def uncordon(self, node: str) -> None:
        self.cluster.kubectl("uncordon", node)

    def lose(self, node: str) -> None:
        """Its kubelet and everything on it falls silent."""
        self.responder.lost_nodes.add(node)
        self.rig.kill_kubelet(node)

    def restore(self, node: str) -> None:
        """The node is there, reachable, and takes pods; nothing to do when it never went.

        One that was deleted comes back empty.
        """
        if self.cluster.get("node", node, namespace="default") is None:
            self.wait_until_given_up(node)
        self.responder.lost_nodes.discard(node)
        if not self.rig.kubelet_runs(node):
            self.rig.create_node(node)
            self.rig.start_kubelet(node)
        self.uncordon(node)
        self.rig.wait_for(f"{node} is back", lambda: self.rig.is_node_ready(node))

    def wait_until_given_up(self, node: str) -> None:
        """Kubernetes deletes the pods of a node that is gone, 40 to 60 s later."""

        def given_up() -> bool:
            return all(pod["spec"].get("nodeName") != node for pod in self.cluster.list("pods"))

        self.cluster.wait_for(f"the pods of {node} are given up", given_up, seconds=GIVE_UP_SECONDS)

    def write_pod_status(self, pod: Object, *, status: Object) -> None:
        """As a kubelet does."""
        metadata = pod["metadata"]
        self.cluster.kubectl(
            *("patch", "pod", metadata["name"], "-n", metadata["namespace"], "--subresource=status"),
            *("--type=strategic", "-p", json.dumps({"status": status})),
        )

    def _wait(self, what: str, probe: Callable[[], Object | None], *, name: str, namespace: str) -> Object:
        try:
            found: Object = self.operator.wait_for(what, probe)
        except AssertionError as error:
            model = self.cluster.get("embeddingmodel", name, namespace=namespace)
            raise AssertionError(f"{conditions_text(model or {})}\n{error}") from None
        return found


def nodes_of(pods: Sequence[Object]) -> set[str]:
    return {pod["spec"]["nodeName"] for pod in pods}


def names_of(items: Sequence[Object]) -> set[str]:
    return {item["metadata"]["name"] for item in items}


def count_ready(endpoint_slice: Object) -> int:
    """Endpoints that a Service sends requests to."""
    endpoints = endpoint_slice.get("endpoints") or ()
    return sum(item["conditions"]["ready"] for item in endpoints)
