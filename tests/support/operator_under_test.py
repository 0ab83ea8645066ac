"""`embedding-operator run` as a real process, under the rights that the chart gives it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from free_ports import free_port
from live_cluster import LiveCluster
from private_apiserver import PrivateApiServer

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT / "crds" / "embeddingmodels.embedding-operator.dev.yaml"
SYSTEM = "embedding-operator"  # namespace of the operator
ACCOUNT = "operator"
USER = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
DEADLINE_SECONDS = 180.0  # beside another layer of tests and its API servers


@dataclass
class OperatorProcess:
    """One replica. `log` is its standard error."""

    process: "subprocess.Popen[bytes]"
    health_port: int
    metrics_port: int
    log: Path

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def probe(self, path: str) -> int:
        """Status code of a health route; 0 when nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except (urllib.error.URLError, OSError):
            return 0

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            return str(response.read().decode())

    def leads(self) -> bool:
        return "embedding_operator_leader 1.0" in self.metrics()

    def resident_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def terminate(self) -> int:
        """SIGTERM; the exit code. Fails when it takes longer than the pod's grace period would allow."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=25)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_exit(self) -> int:
        return self.process.wait(timeout=DEADLINE_SECONDS)


@dataclass
class OperatorWorld:
    """A private API server with the CRD, the chart's RBAC and a hub; starts and stops replicas."""

    server: PrivateApiServer
    cluster: LiveCluster
    folder: Path
    hub_url: str
    _started: list[OperatorProcess] = field(default_factory=list)

    def start(self, *arguments: str) -> OperatorProcess:
        """Start a replica and wait until its probes answer."""
        number = len(self._started)
        health, metrics = free_port(), free_port()
        log = self.folder / f"operator-{number}-{health}.log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("EMBEDDING_OPERATOR_")}
        command = [
            *(sys.executable, "-m", "embedding_operator", "run"),
            f"--settings={self.folder / 'settings.yaml'}",
            f"--kubeconfig={self.folder / 'operator.conf'}",
            f"--namespace={SYSTEM}",
            f"--identity=replica-{number}",
            f"--service-account={ACCOUNT}",
            f"--health-port={health}",
            f"--metrics-port={metrics}",
            *arguments,
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        replica = OperatorProcess(process=process, health_port=health, metrics_port=metrics, log=log)
        self._started.append(replica)
        self.wait_for("the operator's probes answer", lambda: replica.probe("/readyz") == 200)
        return replica

    def wait_for(self, what: str, probe: Any) -> Any:
        try:
            return self.cluster.wait_for(what, probe, seconds=DEADLINE_SECONDS)
        except AssertionError as error:
            logs = "\n".join(f"--- {item.log.name}\n{item.log.read_text()[-4000:]}" for item in self._started)
            raise AssertionError(f"{error}\n{logs}") from None

    def start_leader(self) -> OperatorProcess:
        replica = self.start()
        self.wait_for("the replica leads", replica.leads)
        return replica

    def stop_all(self) -> None:
        for replica in self._started:
            if replica.is_running:
                replica.kill()
        self._started.clear()

    def lease(self) -> Mapping[str, Any]:
        return self.cluster.must_get("lease", "embedding-operator", namespace=SYSTEM)["spec"]

    def forget_lease(self) -> None:
        """The next replica leads at once instead of waiting for the Lease of a killed one to expire."""
        self.cluster.delete("lease", "embedding-operator", namespace=SYSTEM)

    def install_crd(self) -> None:
        self.cluster.kubectl("apply", "-f", str(CRD))
        self.cluster.wait_for("the CRD is established", self._is_crd_established, seconds=DEADLINE_SECONDS)

    def _is_crd_established(self) -> bool:
        """`kubectl wait` fails on an object whose status has no conditions yet."""
        crd = json.loads(self.cluster.kubectl("get", "crd", CRD.stem, "-o", "json"))
        conditions = crd.get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    def operator_events(self, *, since: int) -> Sequence[Mapping[str, Any]]:
        """Requests that operators made, complete ones only, from a position in the audit log on."""
        return [
            event
            for event in self.cluster.audit_events(since_offset=since)
            if event["user"]["username"] == USER and event["stage"] == "ResponseComplete"
        ]


@contextmanager
def operator_world(
    folder: Path,
    *,
    server: PrivateApiServer,
    kubectl: Path,
    helm: Path,
    hub_url: str,
    namespaces: Sequence[str] = (),
) -> Iterator[OperatorWorld]:
    """`namespaces` are the ones served, with the chart's Roles in them; none means all, with its ClusterRole."""
    cluster = LiveCluster(kubectl_binary=str(kubectl), kubeconfig=server.kubeconfig, audit_log=server.audit_log)
    world = OperatorWorld(server=server, cluster=cluster, folder=folder, hub_url=hub_url)
    world.install_crd()
    cluster.apply(
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (SYSTEM, *namespaces)),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": SYSTEM}},
    )
    cluster.kubectl("apply", "-f", "-", stdin=_render_rbac(helm, namespaces=namespaces))
    server.write_kubeconfig(folder / "operator.conf", token=server.service_account_token(ACCOUNT, namespace=SYSTEM))
    settings = {
        "hub": {"endpoint": hub_url},
        "profiles": {"cpu": {"image": "registry.example/runtime:1", "referenceImage": "registry.example/reference:1"}},
        "watchNamespaces": list(namespaces),
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    try:
        yield world
    finally:
        world.stop_all()


def _render_rbac(helm: Path, *, namespaces: Sequence[str]) -> str:
    images = [f"{name}.repository=x" for name in ("image", "runtime.image", "runtime.referenceImage")]
    values = [*images, "serviceAccount.create=false"]
    if namespaces:
        values.append(f"watchNamespaces={{{','.join(namespaces)}}}")
    rendered = subprocess.run(
        [
            *(str(helm), "template", "test", str(ROOT / "charts" / "embedding-operator"), "--namespace", SYSTEM),
            *("--show-only", "templates/rbac.yaml", "--set", f"serviceAccount.name={ACCOUNT}"),
            *(part for value in values for part in ("--set", value)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rendered.returncode == 0, rendered.stderr
    return rendered.stdout


def embedding_model(name: str, *, repo: str, namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "embedding-operator.dev/v1alpha1",
        "kind": "EmbeddingModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"huggingFace": {"repo": repo}}, "verification": {"reference": "Off"}, **spec},
    }
