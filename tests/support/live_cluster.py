"""The running cluster as tests see it: kubectl, waiting for conditions, the audit log."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

Object = Mapping[str, Any]
Answer = TypeVar("Answer")

POLL_SECONDS = 0.25


class KubectlError(Exception):
    """kubectl ended with an error; the text is its standard error."""


@dataclass(frozen=True)
class LiveCluster:
    kubectl_binary: str
    kubeconfig: Path
    audit_log: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it printed; KubectlError with its words when it fails."""
        result = subprocess.run(
            [self.kubectl_binary, "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise KubectlError(result.stderr.strip())
        return result.stdout

    def apply(self, *manifests: Object) -> None:
        """`kubectl apply`, client-side as most people do."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, kind: str, name: str, *, namespace: str) -> Object | None:
        output = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(output) if output.strip() else None

    def must_get(self, kind: str, name: str, *, namespace: str) -> Object:
        found = self.get(kind, name, namespace=namespace)
        assert found is not None, f"{kind} {namespace}/{name} is not there"
        return found

    def list(self, kind: str, *, namespace: str | None = None, labels: str = "") -> Sequence[Object]:
        scope = ["-n", namespace] if namespace else ["-A"]
        selector = ["-l", labels] if labels else []
        items: list[Object] = json.loads(self.kubectl("get", kind, *scope, *selector, "-o", "json"))["items"]
        return items

    def delete(self, kind: str, name: str, *, namespace: str, wait: bool = True) -> None:
        self.kubectl("delete", kind, name, "-n", namespace, "--ignore-not-found", f"--wait={str(wait).lower()}")

    def patch(self, kind: str, name: str, *, namespace: str, patch: Object, subresource: str | None = None) -> None:
        extra = [f"--subresource={subresource}"] if subresource else []
        self.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch), *extra)

    def wait_for(self, what: str, probe: Callable[[], Answer | None], *, seconds: float = 120) -> Answer:
        """Poll until the probe answers something true; AssertionError that names what was awaited."""
        deadline = time.monotonic() + seconds
        while True:
            answer = probe()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
            time.sleep(POLL_SECONDS)

    def wait_until_settled(self, name: str, *, namespace: str) -> Object:
        """A Ready EmbeddingModel once its status has all that it will say.

        The device is what a pod reports of itself, some moments after it is ready: the last thing to be known.
        """

        def settled() -> Object | None:
            found = self.must_get("embeddingmodel", name, namespace=namespace)
            return found if found["status"].get("pods", {}).get("device") else None

        return self.wait_for(f"the status of {name} says what its pods run on", settled)

    def make_namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Until pods can be made in it: without its default ServiceAccount they are refused."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}})
        self.wait_for(
            f"the ServiceAccount of {name}", lambda: self.get("serviceaccount", "default", namespace=name), seconds=60
        )

    def service_address(self, name: str, *, namespace: str) -> str:
        """ClusterIP of a Service once this node routes to it: kube-proxy follows an EndpointSlice within a second."""
        address = str(self.must_get("service", name, namespace=namespace)["spec"]["clusterIP"])

        def accepts() -> bool:
            try:
                socket.create_connection((address, 80), timeout=5).close()
            except OSError:
                return False
            return True

        self.wait_for(f"{address} is routed", accepts, seconds=30)
        return address

    def server_pods(self, *, namespace: str) -> dict[str, int]:
        """Restart count of every pod that serves a model, by uid."""
        pods = self.list("pods", namespace=namespace, labels="embedding-operator.dev/component=server")
        return {
            pod["metadata"]["uid"]: sum(item["restartCount"] for item in pod["status"].get("containerStatuses", ()))
            for pod in pods
        }

    def audit_events(self, *, since_offset: int = 0) -> Iterator[Object]:
        """Events of the API server's audit log from a byte offset on; an unfinished last line is left out."""
        with self.audit_log.open("rb") as log:
            log.seek(since_offset)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def audit_offset(self) -> int:
        return self.audit_log.stat().st_size


def condition(model: Object, kind: str) -> Object | None:
    """The condition of that type, if it was computed for the object's present generation."""
    generation = model["metadata"]["generation"]
    status = model.get("status", {})
    if status.get("observedGeneration") != generation:
        return None
    return next((item for item in status.get("conditions", ()) if item["type"] == kind), None)


def is_true(model: Object, kind: str) -> bool:
    found = condition(model, kind)
    return found is not None and found["status"] == "True"


def conditions_text(model: Object) -> str:
    """All conditions in one text, for messages of failing tests."""
    rows = model.get("status", {}).get("conditions", ())
    return "; ".join(f"{row['type']}={row['status']} {row['reason']}: {row.get('message', '')}" for row in rows)
