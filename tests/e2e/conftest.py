"""The operator installed by Helm on the local cluster, a hub with real models, and a namespace for each test."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from claims import Claim
from faulty_image import build_faulty_image
from free_ports import free_port
from live_cluster import LiveCluster, condition, conditions_text, is_true
from local_hub import LocalHub
from models_under_test import MINILM_REPO, Served, embedding_model

from release import OPERATOR_NAMESPACE, install, split_reference

ROOT = Path(__file__).resolve().parents[2]

NODE = "198.18.0.1"
REGISTRY = f"{NODE}:5000"
POLL_SECONDS = 10  # the least that the chart takes: a followed branch must not hold up a test
AUDIT_SECONDS = 10

SMALL = {"resources": {"requests": {"cpu": "100m"}}}  # as hack/release.py asks for on the profile `cpu`
MISSING_IMAGE = {"device": "cpu", "image": {"repository": f"{REGISTRY}/does-not-exist", "tag": "v1"}}


@pytest.fixture(scope="session")
def hub(cluster_status: Mapping[str, Any]) -> Iterator[LocalHub]:
    """The local hub, with the demo's models pushed; faults of a test are cleared after it by `clean_hub`."""
    hub = LocalHub(command=ROOT / "hack" / "cluster", url=cluster_status["hubURL"])
    hub.run("start")
    hub.run("demo-models")
    hub.run("fault", "clear")
    yield hub
    hub.run("start")
    hub.run("fault", "clear")


@pytest.fixture(autouse=True)
def clean_hub(hub: LocalHub) -> Iterator[None]:
    yield
    hub.run("start")
    hub.run("fault", "clear")


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    """A second hub as companies have it: https by an authority of its own, large files at another origin."""
    url = f"https://{NODE}:{free_port()}"
    hub = LocalHub(command=ROOT / "hack" / "cluster", url=url, state=tmp_path_factory.mktemp("vault"))
    port = url.rpartition(":")[2]
    hub.run("start", "--host", NODE, "--port", port, "--tls", "--cdn-port", str(free_port()))
    yield hub
    hub.run("stop")


@pytest.fixture(scope="session")
def audit_seconds() -> float:
    """How often every pod is audited."""
    return AUDIT_SECONDS


@pytest.fixture(scope="session")
def faulty_image(cluster_status: Mapping[str, Any], sre_folder: Path) -> str:
    """The runtime of this checkout with a fault for models of certain names; its reference by digest."""
    return build_faulty_image(other_revision=sre_folder / "model.safetensors")


@pytest.fixture(scope="session", autouse=True)
def operator(cluster_status: Mapping[str, Any], hub: LocalHub, vault: LocalHub, faulty_image: str) -> str:
    """The operator, installed or upgraded to the images of this checkout; its namespace."""
    hub_values = {
        "pollSeconds": POLL_SECONDS,
        "mirrors": {
            "corp": {"endpoint": cluster_status["hubURL"]},
            "vault": {
                "endpoint": vault.url,
                "certificates": Path(vault.run("authority").strip()).read_text(),
                "redirectHosts": [NODE],
                "private": True,
            },
        },
    }
    extra = {
        "profiles": {
            "missing-image": MISSING_IMAGE,
            "faulty": {"device": "cpu", "image": split_reference(faulty_image), **SMALL},
        },
        "audit": {"seconds": AUDIT_SECONDS},
        "hub": hub_values,
        "registries": {REGISTRY: {"endpoint": f"http://{REGISTRY}"}},
    }
    install(cluster_status, extra=extra)
    return OPERATOR_NAMESPACE


@pytest.fixture
def namespace(live_cluster: LiveCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own, deleted afterwards with everything in it; its pods drain while the next test runs."""
    name = f"e2e-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}"
    live_cluster.make_namespace(name)
    yield name
    live_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def apply_model(live_cluster: LiveCluster, namespace: str) -> Callable[..., Mapping[str, Any]]:
    """Apply an EmbeddingModel; keyword arguments are merged into its spec."""

    def apply(name: str = "minilm", **spec: Any) -> Mapping[str, Any]:
        manifest = embedding_model(name, namespace=namespace, **spec)
        live_cluster.apply(manifest)
        return manifest

    return apply


@pytest.fixture
def model(live_cluster: LiveCluster, namespace: str) -> Callable[[str], Mapping[str, Any]]:
    """The object as the API server holds it now."""
    return lambda name="minilm": live_cluster.must_get("embeddingmodel", name, namespace=namespace)


@pytest.fixture
def wait_ready(live_cluster: LiveCluster, namespace: str) -> Callable[..., Mapping[str, Any]]:
    """`kubectl wait --for=condition=Ready` for the present generation; the object then."""

    def wait(name: str = "minilm", *, seconds: float = 240) -> Mapping[str, Any]:
        def ready() -> Mapping[str, Any] | None:
            found = live_cluster.must_get("embeddingmodel", name, namespace=namespace)
            return found if is_true(found, "Ready") else None

        try:
            return live_cluster.wait_for(f"{name} is Ready", ready, seconds=seconds)
        except AssertionError as error:
            now = live_cluster.must_get("embeddingmodel", name, namespace=namespace)
            raise AssertionError(f"{error}\n{conditions_text(now)}") from None

    return wait


@pytest.fixture
def wait_condition(live_cluster: LiveCluster, namespace: str) -> Callable[..., Mapping[str, Any]]:
    """Wait until a condition of the present generation has this status (and reason); the condition."""

    def wait(
        kind: str, status: str, *, name: str = "minilm", reason: str | None = None, seconds: float = 120
    ) -> Mapping[str, Any]:
        def reached() -> Mapping[str, Any] | None:
            found = condition(live_cluster.must_get("embeddingmodel", name, namespace=namespace), kind)
            wanted = found is not None and found["status"] == status and reason in (None, found["reason"])
            return found if wanted else None

        try:
            what = f"{name} {kind}={status} {reason or ''}"
            return live_cluster.wait_for(what, reached, seconds=seconds)
        except AssertionError as error:
            now = live_cluster.must_get("embeddingmodel", name, namespace=namespace)
            raise AssertionError(f"{error}\n{conditions_text(now)}") from None

    return wait


@pytest.fixture
def claim(live_cluster: LiveCluster, namespace: str, cluster_status: Mapping[str, Any]) -> Callable[[str], Claim]:
    """Make a PersistentVolumeClaim in the test's namespace."""

    def make(name: str) -> Claim:
        made = Claim(live_cluster, namespace=namespace, name=name, image=cluster_status["images"]["runtime"])
        made.create()
        return made

    return make


@pytest.fixture
def push(hub: LocalHub) -> Callable[..., str]:
    """Push a folder as a new commit of a repository; the commit."""

    def push_folder(folder: Path, repo: str = MINILM_REPO, *, branch: str = "main", force: bool = False) -> str:
        extra = ["--force"] if force else []
        return hub.run("push", str(folder), repo, "--branch", branch, *extra).strip().splitlines()[-1]

    return push_folder


@pytest.fixture
def serve_folder(
    push: Callable[..., str],
    apply_model: Callable[..., Any],
    wait_ready: Callable[..., Mapping[str, Any]],
    live_cluster: LiveCluster,
    namespace: str,
) -> Callable[..., Served]:
    """Push a folder as acme/NAME, or as `repo`, and bring it to Ready; more arguments are merged into the spec."""

    def serve(folder: Path, name: str, *, repo: str | None = None, **spec: Any) -> Served:
        source = repo or f"acme/{name}"
        push(folder, source, force=True)
        apply_model(name, **{"model": {"huggingFace": {"repo": source}}, **spec})
        model = wait_ready(name)
        return Served(model=model, url=f"http://{live_cluster.service_address(name, namespace=namespace)}")

    return serve


@pytest.fixture
def push_image() -> Callable[..., str]:
    """Push a folder as an image of data; its reference by digest."""

    def push(folder: Path, name: str, *, path: str) -> str:
        command = [str(ROOT / "hack" / "cluster"), "push-image", str(folder), name, "--path", path]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip().splitlines()[-1]

    return push


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
