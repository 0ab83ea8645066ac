"""Hundreds of models on a cluster of simulated nodes: what a platform with many tenants asks of one operator."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hub_in_process import hub_with_model
from kwok_cluster import KwokCluster, kwok_cluster
from live_cluster import conditions_text, is_true
from operator_under_test import OperatorProcess, OperatorWorld, embedding_model, operator_world
from pod_responder import PodResponder, pod_responder
from tiny_models import tiny_embedder
from watched import watched

from localcluster.binaries import ensure_client_tool

REPO = "acme/tiny"
MODELS = "/apis/embedding-operator.dev/v1alpha1/embeddingmodels"
PARALLEL = 8  # requests of ours at the same time
POLL_SECONDS = 1.0
LEADER_SECONDS = 60.0
LEASE = "leases"
# Nothing is stored by it: it is how the operator comes to its tokens for the pods.
TOKEN = "token"

Object = Mapping[str, Any]


@dataclass
class ManyModels:
    """`namespaces` share the models evenly. `replicas` are the operator's; one that ends is started again while
    something is waited for, as a kubelet would do: where the API server is starved, even a Lease is lost.
    """

    rig: KwokCluster
    responder: PodResponder
    operator: OperatorWorld
    namespaces: Sequence[str]
    replicas: list[OperatorProcess] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(PARALLEL))

    def start(self, *, replicas: int) -> None:
        self.replicas += [self.operator.start() for _ in range(replicas)]
        self.leader()

    def leader(self) -> OperatorProcess:
        def find() -> OperatorProcess | None:
            return next((replica for replica in self.replicas if replica.is_running and replica.leads()), None)

        found: OperatorProcess = self.wait_for("a replica leads", find, seconds=LEADER_SECONDS)
        return found

    def kill_leader(self) -> OperatorProcess:
        """kill -9, and nobody starts it again."""
        leader = self.leader()
        self.replicas.remove(leader)
        leader.kill()
        return leader

    def apply(self, names: Sequence[str], *, replicas: int, **spec: Any) -> None:
        self._all([lambda name=name: self._create(name, replicas=replicas, **spec) for name in names])

    def change(self, name: str, **spec: Any) -> None:
        path = self.path_of(name)
        found = self.rig.server.request("GET", path)
        self.rig.server.request("PUT", path, body={**found, "spec": {**found["spec"], **spec}})

    def delete(self, names: Sequence[str]) -> None:
        self._all([lambda name=name: self.rig.server.request("DELETE", self.path_of(name)) for name in names])

    def namespace_of(self, name: str) -> str:
        return self.namespaces[int(name.rpartition("-")[2]) % len(self.namespaces)]

    def key_of(self, name: str) -> str:
        return f"{self.namespace_of(name)}/{name}"

    def path_of(self, name: str) -> str:
        group, _, plural = MODELS.rpartition("/")
        return f"{group}/namespaces/{self.namespace_of(name)}/{plural}/{name}"

    def model(self, name: str) -> Object:
        found: Object = self.rig.server.request("GET", self.path_of(name))
        return found

    def wait_verified(self, names: Sequence[str], *, seconds: float) -> float:
        """Until all are Ready and Verified; how long that took, in seconds.

        A watch tells: who lists all objects again and again is most of the API server's work.
        """
        begun = time.monotonic()
        wanted, done = set(names), set[str]()
        with watched(self.operator.cluster, MODELS) as models:
            while True:
                for model in models.take():
                    is_done = is_true(model, "Ready") and is_true(model, "Verified")
                    (done.add if is_done else done.discard)(model["metadata"]["name"])
                if not (left := wanted - done):
                    return time.monotonic() - begun
                assert time.monotonic() - begun < seconds, f"not within {seconds:.0f} s: {self._explain(left)}"
                self._tend()
                time.sleep(POLL_SECONDS)

    def _explain(self, names: Collection[str]) -> str:
        there = {item["metadata"]["name"]: item for item in self.rig.server.request("GET", MODELS)["items"]}
        said = Counter(conditions_text(there[name]) if name in there else "it is not there" for name in names)
        return f"{len(names)} are not Ready and Verified: {said.most_common(3)}"

    def wait_gone(self, names: Sequence[str], *, seconds: float) -> None:
        """Until neither the models nor anything that was made for them is there."""
        gone = set(names)
        label = "embedding-operator.dev/model"
        kinds = ("/apis/apps/v1/deployments", "/api/v1/pods", "/api/v1/configmaps", "/apis/batch/v1/jobs")
        paths = [MODELS, *(f"{path}?labelSelector={label}" for path in kinds)]

        def names_model(item: Object) -> str:
            return str(item["metadata"].get("labels", {}).get(label, item["metadata"]["name"]))

        def is_left() -> bool:
            items = (item for path in paths for item in self.rig.server.request("GET", path)["items"])
            return any(names_model(item) in gone for item in items)

        self.wait_for("everything of deleted models is gone", lambda: not is_left(), seconds=seconds)

    def wait_for(self, what: str, probe: Callable[[], Any], *, seconds: float) -> Any:
        def tend_and_probe() -> Any:
            self._tend()
            return probe()

        return self.operator.cluster.wait_for(what, tend_and_probe, seconds=seconds)

    def calls(self, *, since: int) -> Counter[tuple[str, str]]:
        """How often operators asked it of the API server: verb and resource, from a position in the audit log on. Pages
        of a list are one call."""
        return Counter(call for call, _ in self._asked(since=since))

    def lists(self, *, since: int) -> Mapping[str, Sequence[datetime]]:
        """When each list was asked for, by resource, earliest first."""
        found: dict[str, list[datetime]] = {}
        for (verb, resource), when in self._asked(since=since):
            if verb == "list":
                found.setdefault(resource, []).append(when)
        return {resource: sorted(times) for resource, times in found.items()}

    def _asked(self, *, since: int) -> Iterator[tuple[tuple[str, str], datetime]]:
        for event in self.operator.operator_events(since=since):
            if "continue=" not in event["requestURI"]:
                reference = event.get("objectRef") or {}
                resource = reference.get("subresource") or reference.get("resource", event["requestURI"])
                yield (event["verb"], resource), datetime.fromisoformat(event["requestReceivedTimestamp"])

    def writes(self, *, since: int) -> Counter[tuple[str, str]]:
        """Those calls that write, but for the Lease."""
        calls = self.calls(since=since)
        reads = ("get", "list", "watch")
        return Counter(
            {call: count for call, count in calls.items() if call[0] not in reads and call[1] not in (LEASE, TOKEN)}
        )

    def close(self) -> None:
        self._pool.shutdown()

    def _tend(self) -> None:
        self.replicas = [replica if replica.is_running else self.operator.start() for replica in self.replicas]

    def _create(self, name: str, *, replicas: int, **spec: Any) -> None:
        body = embedding_model(name, repo=REPO, namespace=self.namespace_of(name), replicas=replicas, **spec)
        self.rig.server.request("POST", self.path_of(name).rpartition("/")[0], body=body)

    def _all(self, calls: Sequence[Callable[[], Any]]) -> None:
        for done in [self._pool.submit(call) for call in calls]:
            done.result()


@contextmanager
def many_models(
    folder: Path,
    *,
    helm: Path,
    namespaces: int,
    files: Mapping[str, bytes] | None = None,
    grace_seconds: float | None = None,
    **settings: Any,
) -> Iterator[ManyModels]:
    """A cluster with one node, everything but an operator. `files` are of the one model that all of them serve;
    `settings` go into settings.yaml.
    """
    names = [f"tenant-{number}" for number in range(namespaces)]
    with (
        hub_with_model(folder, files or tiny_embedder(), repo=REPO) as hub,
        kwok_cluster(folder) as rig,
        pod_responder(rig.server, network=str(rig.pod_range), grace_seconds=grace_seconds) as responder,
        operator_world(
            folder, server=rig.server, kubectl=ensure_client_tool("kubectl"), helm=helm, hub_url=hub.url
        ) as operator,
    ):
        for name in names:
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            rig.server.request("POST", "/api/v1/namespaces", body=body)
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **settings}))
        world = ManyModels(rig=rig, responder=responder, operator=operator, namespaces=names)
        try:
            yield world
        finally:
            world.close()


def number_models(count: int, *, prefix: str = "model") -> Sequence[str]:
    return [f"{prefix}-{number}" for number in range(count)]
