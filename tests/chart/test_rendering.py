"""What the chart renders: valid, restricted, the same each time, and settings that the operator can read."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate
from live_cluster import LiveCluster

from embedding_model.sources.access import HUB_REDIRECT_HOSTS, Access
from embedding_operator.api.crd import build_crd
from embedding_operator.settings import Hub, Settings, UpgradePolicy, load_settings

CHART = Path(__file__).resolve().parents[2] / "charts" / "embedding-operator"
# Custom resources of the Prometheus operator: not in Kubernetes' own schemas.
FOREIGN = {"PodMonitor"}
DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_helm_finds_nothing_to_complain_about(run_helm: Callable[..., Any], case: str) -> None:
    result = run_helm("lint", "--strict", str(CHART), "--values", str(CHART / "ci" / f"{case}-values.yaml"))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
def test_every_object_is_valid_for_kubernetes(render: Callable[..., Any], case: str, version: str) -> None:
    objects = [item for item in render(case) if item["kind"] not in FOREIGN]
    assert objects
    for item in objects:
        validate(item, version, strict=True)


def test_rendering_twice_gives_the_same_objects(render: Callable[..., Any], case: str) -> None:
    assert render(case) == render(case)


def test_there_are_no_hooks(render: Callable[..., Any], case: str) -> None:
    annotations = [item["metadata"].get("annotations") or {} for item in render(case)]
    assert not [key for found in annotations for key in found if key.startswith("helm.sh/hook")]


def test_every_object_carries_the_releases_labels(render: Callable[..., Any], case: str) -> None:
    for item in render(case):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "embedding-operator"


def test_the_pod_meets_the_restricted_standard(pick: Callable[..., Any], case: str) -> None:
    pod = pick("Deployment", case=case)["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
    assert {key for volume in pod["volumes"] for key in volume} == {"name", "configMap", "emptyDir"}


def test_the_token_of_the_api_server_is_asked_for_by_the_pod_not_by_the_account(pick: Callable[..., Any]) -> None:
    assert pick("Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True
    assert pick("ServiceAccount")["automountServiceAccountToken"] is False


def test_probes_ask_ports_that_the_container_names(pick: Callable[..., Any]) -> None:
    (container,) = pick("Deployment")["spec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    assert ports == {"health", "metrics"}


def test_a_digest_wins_over_a_tag_and_no_tag_is_the_charts_version(pick: Callable[..., Any]) -> None:
    def image(**fields: str) -> str:
        (container,) = pick("Deployment", image=fields)["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    repository = "registry.example.org/embedding-operator/operator"
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert image() == f"{repository}:{version}"
    assert image(tag="dev") == f"{repository}:dev"
    assert image(tag="dev", digest=DIGEST) == f"{repository}@{DIGEST}"


@pytest.fixture
def settings(pick: Callable[..., Any], tmp_path: Path) -> Callable[..., Settings]:
    """The rendered settings file, read by the operator's own loader."""

    def load(case: str = "minimal", **values: Any) -> Settings:
        config_map = pick("ConfigMap", name="embedding-operator-settings", case=case, **values)
        file = tmp_path / "settings.yaml"
        file.write_text(config_map["data"]["settings.yaml"])
        return load_settings(file)

    return load


def test_the_operator_reads_the_default_settings(settings: Callable[..., Settings]) -> None:
    found = settings()
    assert found.hub == Hub(Access(endpoint="https://huggingface.co", redirect_hosts=HUB_REDIRECT_HOSTS))
    assert (found.mirrors, found.registries, found.image_volumes, found.proxy) == ({}, {}, False, {})
    assert found.default_profile == "cpu"
    assert {name: profile.device for name, profile in found.profiles.items()} == {"cpu": "cpu", "cuda": "cuda"}
    assert found.profiles["cuda"].resources["limits"]["nvidia.com/gpu"] == "1"
    assert found.upgrade_policy is UpgradePolicy.KEEP
    assert found.watch_namespaces == ()


def test_the_operator_reads_every_setting_that_values_can_carry(settings: Callable[..., Settings]) -> None:
    found = settings("everything")
    assert (found.hub.access.endpoint, found.poll_seconds) == ("http://hub.example.org:8470", 300)
    assert found.mirrors["corp"].private
    assert found.mirrors["corp"].access.endpoint == "https://mirror.example.org/hf"
    assert found.mirrors["corp"].access.redirect_hosts == ("storage.example.org",)
    assert found.registries["registry.example.org:5000"].endpoint == "http://registry.example.org:5000"
    assert found.image_volumes
    assert found.proxy == {"HTTPS_PROXY": "http://proxy.example.org:3128", "NO_PROXY": "example.org"}
    assert (found.workers, found.upgrade_policy, found.default_profile) == (16, UpgradePolicy.ROLLING, "cuda")
    assert found.image_pull_secrets == ("registry",)
    cuda = found.profiles["cuda"]
    assert cuda.image == f"registry.example.org/embedding-operator/runtime@{DIGEST}"
    assert cuda.node_selector == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert cuda.runtime_class == "nvidia"
    assert cuda.reference_image == "registry.example.org/embedding-operator/reference-cuda:1.2"
    assert found.profiles["cpu"].image == "registry.example.org/embedding-operator/runtime:1.2"
    assert found.profiles["cpu"].reference_image == "registry.example.org/embedding-operator/reference:1.2"


def test_namespaces_watched_reach_the_operator(settings: Callable[..., Settings]) -> None:
    assert settings("namespaced").watch_namespaces == ("search", "ranking")


def test_a_profiles_own_tag_is_not_beaten_by_the_shared_digest(settings: Callable[..., Settings]) -> None:
    found = settings(runtime={"image": {"digest": DIGEST}}, profiles={"cuda": {"image": {"tag": "cuda"}}})
    assert found.profiles["cpu"].image.endswith(f"@{DIGEST}")
    assert found.profiles["cuda"].image == "registry.example.org/embedding-operator/runtime:cuda"


def test_a_profile_can_be_removed(settings: Callable[..., Settings]) -> None:
    assert list(settings(profiles={"cuda": None}).profiles) == ["cpu"]


def test_changed_settings_roll_the_operator(pick: Callable[..., Any]) -> None:
    def checksum(**values: Any) -> str:
        return str(pick("Deployment", **values)["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum(podLabels={"team": "search"})
    assert checksum() != checksum(workers=9)


def test_the_crd_is_the_generated_one_and_survives_an_uninstall(pick: Callable[..., Any]) -> None:
    crd = pick("CustomResourceDefinition", name="embeddingmodels.embedding-operator.dev")
    assert crd["spec"] == build_crd()["spec"]
    assert crd["metadata"]["annotations"] == {
        **build_crd()["metadata"]["annotations"],
        "helm.sh/resource-policy": "keep",
    }


def test_the_crd_goes_with_the_release_when_asked_to(pick: Callable[..., Any]) -> None:
    crd = pick("CustomResourceDefinition", name="embeddingmodels.embedding-operator.dev", crds={"keep": False})
    assert "helm.sh/resource-policy" not in crd["metadata"]["annotations"]


def test_the_crd_can_be_left_to_others(render: Callable[..., Any]) -> None:
    assert "CustomResourceDefinition" not in {item["kind"] for item in render(crds={"enabled": False})}


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain(render: Callable[..., Any]) -> None:
    assert "PodDisruptionBudget" in {item["kind"] for item in render()}
    assert "PodDisruptionBudget" not in {item["kind"] for item in render(replicas=1)}


def test_optional_objects_are_absent_until_asked_for(render: Callable[..., Any]) -> None:
    assert not {"PodMonitor", "NetworkPolicy"} & {item["kind"] for item in render()}
    assert {"PodMonitor", "NetworkPolicy"} <= {item["kind"] for item in render("everything")}


def test_the_network_policy_lets_the_operator_reach_api_server_hub_and_pods(pick: Callable[..., Any]) -> None:
    egress = pick("NetworkPolicy", case="everything")["spec"]["egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in egress] == [[53, 53], [443, 6443, 8470, 3128], [8081]]


def test_pod_monitors_cover_the_operator_and_every_model(pick: Callable[..., Any]) -> None:
    own = pick("PodMonitor", case="everything")
    models = pick("PodMonitor", name="embedding-operator-models", case="everything")
    assert own["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    assert models["spec"]["podMetricsEndpoints"][0]["port"] == "private"
    assert models["spec"]["namespaceSelector"] == {"any": True}


@pytest.mark.apiserver
def test_the_notes_say_what_to_type_next(run_helm: Callable[..., Any], kubeconfig: Path) -> None:
    result = run_helm(
        *("install", "another-release", str(CHART), "--namespace", "operators", "--dry-run=client"),
        *("--kubeconfig", str(kubeconfig), "--values", str(CHART / "ci" / "namespaced-values.yaml")),
    )
    assert result.returncode == 0, result.stderr
    notes = result.stdout.split("NOTES:")[1]
    assert "kubectl -n operators rollout status deployment/another-release-embedding-operator" in notes
    assert "kubectl -n search wait --for=condition=Ready em/minilm" in notes
    assert "crds/embeddingmodels.embedding-operator.dev.yaml" in notes


@pytest.mark.apiserver
def test_a_namespace_that_enforces_the_restricted_standard_admits_the_pod(
    live_cluster: LiveCluster, pick: Callable[..., Any]
) -> None:
    namespace = f"restricted-{uuid.uuid4().hex[:8]}"
    template = pick("Deployment")["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": "operator", "namespace": namespace},
        "spec": {**template["spec"], "serviceAccountName": "default"},
    }
    live_cluster.kubectl("create", "namespace", namespace)
    try:
        live_cluster.kubectl(
            *("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"),
            "pod-security.kubernetes.io/enforce-version=latest",
        )
        live_cluster.wait_for(
            "the default service account",
            lambda: live_cluster.get("serviceaccount", "default", namespace=namespace),
            seconds=30,
        )
        live_cluster.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=json.dumps(pod))
    finally:
        live_cluster.kubectl("delete", "namespace", namespace, "--wait=false")
