"""A namespace under the restricted pod security profile, and pods in it that run to their end."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from live_cluster import LiveCluster

RunToEnd = Callable[..., str]

RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_spec(image: str, *, command: Sequence[str] | None = None, **container: Any) -> dict[str, Any]:
    """Pod spec with one container that the restricted profile admits."""
    main = {"name": "main", "image": image, "securityContext": RESTRICTED, **container}
    if command:
        main["command"] = list(command)
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [main],
    }


@pytest.fixture
def pod_spec_of() -> Callable[..., dict[str, Any]]:
    """`pod_spec`, for tests that put it into a manifest of their own."""
    return pod_spec


@pytest.fixture
def namespace(live_cluster: LiveCluster) -> Iterator[str]:
    name = f"cluster-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    live_cluster.make_namespace(name, labels=labels)
    yield name
    live_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def await_end(live_cluster: LiveCluster, namespace: str) -> Callable[[str], None]:
    """Wait for the end of a pod; fails when it fails or does not end, with what the cluster says of it."""

    def wait(name: str) -> None:
        def ended() -> str | None:
            phase: str = live_cluster.must_get("pod", name, namespace=namespace)["status"].get("phase", "")
            return phase if phase in ("Succeeded", "Failed") else None

        try:
            # The first pull of an image with torch takes more than a minute.
            phase = live_cluster.wait_for(f"end of pod {name}", ended, seconds=400)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{live_cluster.kubectl('describe', 'pod,pvc', '-n', namespace)}") from late
        assert phase == "Succeeded", live_cluster.kubectl("logs", name, "-n", namespace)

    return wait


@pytest.fixture
def run_to_end(live_cluster: LiveCluster, namespace: str, await_end: Callable[[str], None]) -> RunToEnd:
    """Run a pod to its end and answer what it printed; fails when it fails."""

    def run(image: str, *, command: Sequence[str] | None = None, **container: Any) -> str:
        name = f"run-{uuid.uuid4().hex[:8]}"
        spec = {**pod_spec(image, command=command, **container), "restartPolicy": "Never"}
        metadata = {"name": name, "namespace": namespace}
        live_cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await_end(name)
        return live_cluster.kubectl("logs", name, "-n", namespace)

    return run
