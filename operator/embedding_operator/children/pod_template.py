"""The pod of a generation: fetch the model's verified bytes, then serve them behind the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedding_model import ports
from embedding_model.resolved import Origin, ResolvedModel, SourceKind
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec, FailurePolicy
from embedding_operator.children.metadata import child_labels
from embedding_operator.children.profile import Profile, RenderSettings, choose_endpoint, choose_profile
from embedding_operator.children.resources import FETCH_RESOURCES, size_resources, volume_limit
from embedding_operator.children.security import container_security, pod_security

MODEL_MOUNT: Final = "/models"
CONFIG_MOUNT: Final = "/etc/embedding/model"
GOLDENS_MOUNT: Final = "/etc/embedding/goldens"
KEYS_MOUNT: Final = "/etc/embedding/keys"

# A container that dies without leaving a refusal is still heard: the end of its log becomes its message.
LAST_WORDS: Final = "FallbackToLogsOnError"

STARTUP_TIMEOUT_SECONDS: Final = 1800  # load and warm-up of the largest models from slow disks
STARTUP_PERIOD_SECONDS: Final = 2
READY_PERIOD_SECONDS: Final = 1
READY_FAILURES: Final = 3  # a pod that closes itself leaves within three seconds; one slow answer closes nobody
LIVE_PERIOD_SECONDS: Final = 10
LIVE_FAILURES: Final = 6  # a busy device is not a dead one: a minute of silence is
GRACE_SECONDS: Final = 60  # the drain, and the longest accepted request after it
TMP_LIMIT: Final = "1Gi"


@dataclass(frozen=True)
class Rendering:
    """What one rendering needs: the resolved model, and the names of the ConfigMaps that its pods mount."""

    model: str
    resolved: ResolvedModel
    model_config_map: str
    goldens_config_map: str | None
    inputs: str


def pod_template(rendering: Rendering, *, spec: EmbeddingModelSpec, settings: RenderSettings) -> dict[str, Any]:
    """Pod template of a Deployment. Raises Unrenderable."""
    profile = choose_profile(settings, name=spec.runtime.profile)
    resolved = rendering.resolved
    labels = child_labels(rendering.model, component=names.COMPONENT_SERVER, space=resolved.space)
    from_hub = resolved.origin.kind is SourceKind.HUGGING_FACE
    pod: dict[str, Any] = {
        **pod_basics(profile, settings=settings),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [_runtime_container(rendering, spec=spec, profile=profile)],
        "volumes": _volumes(rendering),
    }
    if from_hub:
        pod["initContainers"] = [_fetch_container(rendering, profile=profile, settings=settings)]
    place_pod(pod, spec=spec, profile=profile)
    return {
        "metadata": {
            "labels": labels | {names.LABEL_TRAFFIC: names.TRAFFIC_ON},
            "annotations": {names.ANNOTATION_INPUTS: rendering.inputs},
        },
        "spec": pod,
    }


def pod_basics(profile: Profile, *, settings: RenderSettings) -> dict[str, Any]:
    """What every pod of ours has. No API token, no service environment: a model's pod needs neither."""
    basics: dict[str, Any] = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": pod_security(),
    }
    if settings.image_pull_secrets:
        basics["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if profile.runtime_class:
        basics["runtimeClassName"] = profile.runtime_class
    return basics


def place_pod(pod: dict[str, Any], *, spec: EmbeddingModelSpec, profile: Profile) -> None:
    """Add the profile's and the user's placement to `pod`; on the same label the user wins."""
    selector = dict(profile.node_selector) | dict(spec.pod.node_selector)
    if selector:
        pod["nodeSelector"] = selector
    asked = [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in spec.pod.tolerations]
    tolerations = [dict(item) for item in profile.tolerations] + asked
    if tolerations:
        pod["tolerations"] = tolerations
    secrets = [*pod.get("imagePullSecrets", ()), *({"name": item.name} for item in spec.pod.image_pull_secrets)]
    if secrets:
        pod["imagePullSecrets"] = _distinct(secrets)


def claim_volume(claim: str) -> dict[str, Any]:
    """The whole claim, without a subPath: the kubelet would create a missing one, and the volume is the user's."""
    return {"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def model_folder(origin: Origin) -> str:
    """Where the model's files are in the container."""
    folder = (origin.path or "/").strip("/") if origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM else ""
    return f"{MODEL_MOUNT}/{folder}" if folder else MODEL_MOUNT


def keys_volume(model: str) -> dict[str, Any]:
    return {"name": "keys", "configMap": {"name": names.keys_configmap_name(model), "optional": True}}


def temporary_volume() -> dict[str, Any]:
    return {"name": "tmp", "emptyDir": {"sizeLimit": TMP_LIMIT}}


def mount(name: str, *, path: str, read_only: bool = True) -> dict[str, Any]:
    return {"name": name, "mountPath": path, "readOnly": True} if read_only else {"name": name, "mountPath": path}


def environment() -> list[dict[str, str]]:
    """Libraries must never look for files elsewhere, nor write where the root is read-only."""
    return [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "HOME", "value": "/tmp"}]  # noqa: S108 - a mount


def container_ports() -> list[dict[str, Any]]:
    return [
        {"name": names.SERVICE_PORT_NAME, "containerPort": ports.HTTP_PORT, "protocol": "TCP"},
        {"name": names.PRIVATE_PORT_NAME, "containerPort": ports.PRIVATE_PORT, "protocol": "TCP"},
    ]


def _runtime_container(rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile) -> dict[str, Any]:
    resolved = rendering.resolved
    mounts = [
        mount("model", path=MODEL_MOUNT),
        mount("model-config", path=CONFIG_MOUNT),
        mount("keys", path=KEYS_MOUNT),
        mount("tmp", path="/tmp", read_only=False),  # noqa: S108 - an emptyDir
    ]
    if rendering.goldens_config_map:
        mounts.append(mount("goldens", path=GOLDENS_MOUNT))
    return {
        "name": names.CONTAINER_RUNTIME,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "args": _serve_arguments(rendering, spec=spec, profile=profile),
        "terminationMessagePolicy": LAST_WORDS,
        "env": environment(),
        "ports": container_ports(),
        "startupProbe": _probe(
            ports.STARTUP, period=STARTUP_PERIOD_SECONDS, failures=STARTUP_TIMEOUT_SECONDS // STARTUP_PERIOD_SECONDS
        ),
        "readinessProbe": _probe(ports.READY, period=READY_PERIOD_SECONDS, failures=READY_FAILURES),
        "livenessProbe": _probe(ports.LIVE, period=LIVE_PERIOD_SECONDS, failures=LIVE_FAILURES),
        "resources": size_resources(
            spec.resources.model_dump(), profile=profile.resources, weights=resolved.inspection.weights
        ),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }


def _serve_arguments(rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile) -> list[str]:
    folder = model_folder(rendering.resolved.origin)
    arguments = ["serve", "--model", folder, "--resolved", f"{CONFIG_MOUNT}/{ports.MODEL_FILE}"]
    arguments += ["--keys", KEYS_MOUNT, "--device", profile.device]
    if rendering.goldens_config_map:
        arguments += ["--goldens", f"{GOLDENS_MOUNT}/{ports.GOLDENS_FILE}"]
    arguments += ["--failure-policy", FailurePolicy(spec.verification.failure_policy).value]
    for name in served_names(rendering, spec=spec):
        arguments += ["--served-name", name]
    return arguments


def served_names(rendering: Rendering, *, spec: EmbeddingModelSpec) -> Sequence[str]:
    """NAME or NAME=PROMPT: the repository, the EmbeddingModel's own name, and the user's further ones.

    A name that the user lists is theirs: it then has the prompt they gave it.
    """
    listed = {item.name: item.prompt for item in spec.runtime.served_names}
    own = [name for name in (rendering.resolved.origin.repo, rendering.model) if name and name not in listed]
    return [*own, *(f"{name}={prompt}" if prompt else name for name, prompt in listed.items())]


def _fetch_container(rendering: Rendering, *, profile: Profile, settings: RenderSettings) -> dict[str, Any]:
    endpoint = choose_endpoint(settings, mirror=rendering.resolved.origin.mirror)
    resolved = f"{CONFIG_MOUNT}/{ports.MODEL_FILE}"
    return {
        "name": names.CONTAINER_FETCH,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "args": ["fetch", "--resolved", resolved, "--target", MODEL_MOUNT, "--endpoint", endpoint],
        "terminationMessagePolicy": LAST_WORDS,
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - an emptyDir
        "resources": FETCH_RESOURCES,
        "securityContext": container_security(),
        "volumeMounts": [
            mount("model", path=MODEL_MOUNT, read_only=False),
            mount("model-config", path=CONFIG_MOUNT),
            mount("tmp", path="/tmp", read_only=False),  # noqa: S108 - an emptyDir
        ],
    }


def _volumes(rendering: Rendering) -> list[dict[str, Any]]:
    origin = rendering.resolved.origin
    model = (
        claim_volume(str(origin.claim))
        if origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM
        else {"name": "model", "emptyDir": {"sizeLimit": volume_limit(rendering.resolved.manifest)}}
    )
    volumes = [
        model,
        {"name": "model-config", "configMap": {"name": rendering.model_config_map}},
        keys_volume(rendering.model),
        temporary_volume(),
    ]
    if rendering.goldens_config_map:
        volumes.append({"name": "goldens", "configMap": {"name": rendering.goldens_config_map}})
    return volumes


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.PRIVATE_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": max(2, period // 2),
        "failureThreshold": failures,
    }


def _distinct(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [item for index, item in enumerate(items) if item not in items[:index]]
