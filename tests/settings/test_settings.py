"""settings.yaml: what it may say, and what is answered to a mistake."""

from pathlib import Path

import pytest

from embedding_model.sources.access import Access
from embedding_operator.settings import Hub, Settings, SettingsError, UpgradePolicy, default_settings, load_settings

FULL = """
hub:
  endpoint: https://hub.example.internal/
  redirectHosts: [cdn.example.internal]
  pollSeconds: 60
  mirrors:
    corp: {endpoint: "https://mirror.example.internal", private: true}
registries:
  registry.example.internal: {}
  "10.0.0.1:5000": {endpoint: "http://10.0.0.1:5000", redirectHosts: ["*.storage.example.internal"]}
imageVolumes: true
proxy: {https: "http://proxy.example.internal:3128", noProxy: .internal}
defaultProfile: cuda
profiles:
  cpu: {image: "registry.example/runtime:1", referenceImage: "registry.example/reference:1"}
  cuda:
    image: registry.example/runtime:1-cuda
    referenceImage: registry.example/reference:1-cuda
    imagePullPolicy: Always
    device: cuda
    nodeSelector: {gpu: "true"}
    tolerations: [{key: nvidia.com/gpu, operator: Exists}]
    runtimeClassName: nvidia
    resources: {requests: {cpu: "1", memory: 1Gi}, limits: {memory: 2Gi, nvidia.com/gpu: "1"}}
imagePullSecrets: [registry]
upgradePolicy: Rolling
watchNamespaces: [search, chat]
workers: 4
resyncSeconds: 300
audit: {seconds: 30}
"""


def load(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    return load_settings(file)


def test_every_key_of_the_file_reaches_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, FULL)
    assert settings.hub == Hub(
        Access(endpoint="https://hub.example.internal", redirect_hosts=("cdn.example.internal",))
    )
    assert settings.mirrors == {
        "corp": Hub(Access(endpoint="https://mirror.example.internal", redirect_hosts=()), private=True)
    }
    assert settings.registries == {
        "registry.example.internal": Access(endpoint="https://registry.example.internal", redirect_hosts=()),
        "10.0.0.1:5000": Access(endpoint="http://10.0.0.1:5000", redirect_hosts=("*.storage.example.internal",)),
    }
    assert (settings.poll_seconds, settings.image_volumes) == (60, True)
    assert settings.proxy == {"HTTPS_PROXY": "http://proxy.example.internal:3128", "NO_PROXY": ".internal"}
    assert settings.default_profile == "cuda"
    assert settings.image_pull_secrets == ("registry",)
    assert settings.upgrade_policy is UpgradePolicy.ROLLING
    assert settings.watch_namespaces == ("search", "chat")
    assert (settings.workers, settings.resync_seconds, settings.audit_seconds) == (4, 300, 30)
    cuda = settings.profiles["cuda"]
    assert (cuda.image, cuda.image_pull_policy, cuda.device) == ("registry.example/runtime:1-cuda", "Always", "cuda")
    assert cuda.reference_image == "registry.example/reference:1-cuda"
    assert (cuda.node_selector, cuda.runtime_class) == ({"gpu": "true"}, "nvidia")
    assert cuda.tolerations == ({"key": "nvidia.com/gpu", "operator": "Exists"},)
    assert cuda.resources["limits"] == {"memory": "2Gi", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("profiles: {cpu: {referenceImage: b}}", "profiles.cpu.image"),
        ("profiles: {cpu: {image: a}}", "profiles.cpu.referenceImage"),
        ("profiles: {}", "profiles"),
        ("{}", "profiles"),
        (
            "profiles: {gpu: {image: a, referenceImage: b}}",
            r"defaultProfile: expected one of the profiles \(gpu\), found cpu",
        ),
        (
            "profiles: {cpu: {image: a, referenceImage: b}}\nhub: {endpoint: huggingface.co}",
            "hub.endpoint: .*expected an address",
        ),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nhub: {certificates: nonsense}", "hub.certificates: .*PEM"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nhub: {redirectHosts: ['*']}", "hub.redirectHosts.0"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nregistries: {'https://r': {}}", "registries"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nregistries: {registry: {}}", "registries"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nworkers: 0", "workers"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nwrokers: 1", "wrokers"),
        ("profiles: {cpu: {image: a, referenceImage: b}}\nupgradePolicy: Never", "upgradePolicy"),
        ("profiles: [", "not valid YAML: line 1"),
        ("just text", "settings file"),
    ],
)
def test_a_mistake_names_the_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "hub: {mirrors: {corp: {endpoint: 'https://me:hunter2@mirror'}}}",
        "proxy: {https: 'http://me:hunter2@proxy.example:3128'}",
        "proxy: {http: 'me:hunter2@proxy.example:3128'}",
    ],
)
def test_an_address_with_credentials_is_refused_without_repeating_them(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="credentials") as caught:
        load(tmp_path, f"profiles: {{cpu: {{image: a, referenceImage: b}}}}\n{text}")
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_flags_win_over_defaults_and_unset_ones_change_nothing() -> None:
    settings = default_settings().with_process(namespace="ops", health_port=None)
    assert (settings.namespace, settings.health_port) == ("ops", 8082)
    assert settings.default_profile in settings.profiles
