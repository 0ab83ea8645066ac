"""The pod of a generation: fetch the model's verified bytes, then serve them behind the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from embedding_model import ports
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.api.spec import DtypeChoice, EmbeddingModelSpec, FailurePolicy, TokenIdsPolicy
from embedding_operator.children.auth import render_auth
from embedding_operator.children.metadata import child_labels
from embedding_operator.children.mounts import (
    CACHE_MOUNT,
    CONFIG_MOUNT,
    GOLDENS_MOUNT,
    KEYS_MOUNT,
    MODEL_MOUNT,
    SOURCE_MOUNT,
    TMP_MOUNT,
    WORK_MOUNT,
    cache_volume,
    empty_volume,
    folder_below,
    goldens_volume,
    keys_volume,
    mount,
    mounted_volume,
    temporary_mount,
    temporary_volume,
)
from embedding_operator.children.profile import Profile, RenderSettings, choose_profile
from embedding_operator.children.reach import Reach, is_mounted, reach_source
from embedding_operator.children.resources import size_fetch, size_resources, volume_limit, work_limit
from embedding_operator.children.security import container_security, pod_security

# A container that dies without leaving a refusal is still heard: the end of its log becomes its message.
LAST_WORDS: Final = "FallbackToLogsOnError"

STARTUP_PERIOD_SECONDS: Final = 2
READY_PERIOD_SECONDS: Final = 1
READY_FAILURES: Final = 3  # a pod that closes itself leaves within three seconds; one slow answer closes nobody
AUDIT_GRACE_SECONDS: Final = 10  # how long a pod waits for the operator's verdict before it opens without
LIVE_PERIOD_SECONDS: Final = 10
LIVE_FAILURES: Final = 6  # a busy device is not a dead one: a minute of silence is
LOG_ARGUMENTS: Final = ("--log-format", "json")  # as the operator's own log
GRACE_SECONDS: Final = 60  # the drain, and the longest accepted request after it


@dataclass(frozen=True)
class Rendering:
    """What one rendering needs: the resolved model, and the names of the ConfigMaps that its pods mount, those of the
    golden cases in the cases' order."""

    model: str
    resolved: ResolvedModel
    model_config_map: str
    goldens_config_maps: Sequence[str]
    inputs: str


@dataclass(frozen=True)
class Layout:
    """Where the files of a generation's pods come from, and where the server reads them.

        source          conversions   cache    fetch container   files are read from
        claim, image*   none          any      none              the mounted folder, read-only
        any other       none          unset    downloads         an emptyDir
        any             any           set      downloads         the cache, by their hashes
        claim, image*   some          unset    converts          an emptyDir; the source is mounted beside it

    * an image that the kubelet mounts (settings.image_volumes)
    """

    is_mounted: bool
    fetches: bool
    cache: str | None

    @property
    def needs_folder(self) -> bool:
        """Whether fetched files go into a folder of the pod's own."""
        return self.fetches and self.cache is None


def lay_out(resolved: ResolvedModel, *, spec: EmbeddingModelSpec, settings: RenderSettings) -> Layout:
    mounted = is_mounted(resolved.origin, settings=settings)
    fetches = bool(resolved.manifest.conversions) or not mounted
    claim = spec.cache.persistent_volume_claim.claim_name if spec.cache and fetches else None
    return Layout(is_mounted=mounted, fetches=fetches, cache=claim)


def pod_template(rendering: Rendering, *, spec: EmbeddingModelSpec, settings: RenderSettings) -> dict[str, Any]:
    """Pod template of a Deployment. Raises Unrenderable."""
    profile = choose_profile(settings, name=spec.runtime.profile)
    resolved = rendering.resolved
    labels = child_labels(rendering.model, component=names.COMPONENT_SERVER, space=resolved.space)
    layout = lay_out(resolved, spec=spec, settings=settings)
    reach = reach_source(resolved.origin, spec=spec, settings=settings)
    pod: dict[str, Any] = {
        **pod_basics(profile, settings=settings, has_cache=layout.cache is not None),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [_runtime_container(rendering, spec=spec, profile=profile, layout=layout)],
        "volumes": [*pod_volumes(rendering, layout=layout), *reach.volumes, *render_auth(spec.auth).volumes],
    }
    if layout.fetches:
        pod["initContainers"] = [fetch_container(rendering, spec=spec, profile=profile, layout=layout, reach=reach)]
    place_pod(pod, spec=spec, profile=profile)
    return {
        "metadata": {
            "labels": labels | {names.LABEL_TRAFFIC: names.TRAFFIC_ON},
            "annotations": {names.ANNOTATION_INPUTS: rendering.inputs, **audience_annotation()},
        },
        "spec": pod,
    }


def audience_annotation() -> dict[str, str]:
    """Of every pod that we render: which token to show it. Its keys name the audience (`keys_config_map`)."""
    return {names.ANNOTATION_AUDIENCE: names.AUDIENCE_NAMESPACE}


def pod_basics(profile: Profile, *, settings: RenderSettings, has_cache: bool = False) -> dict[str, Any]:
    """What every pod of ours has. No API token, no service environment: a model's pod needs neither."""
    basics: dict[str, Any] = {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": pod_security(has_cache=has_cache),
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


def environment() -> list[dict[str, str]]:
    """Libraries must never look for files elsewhere, nor write where the root is read-only."""
    return [{"name": "HF_HUB_OFFLINE", "value": "1"}, {"name": "HOME", "value": TMP_MOUNT}]


def container_ports() -> list[dict[str, Any]]:
    return [
        {"name": names.SERVICE_PORT_NAME, "containerPort": ports.HTTP_PORT, "protocol": "TCP"},
        {"name": names.PRIVATE_PORT_NAME, "containerPort": ports.PRIVATE_PORT, "protocol": "TCP"},
    ]


def _runtime_container(
    rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile, layout: Layout
) -> dict[str, Any]:
    resolved = rendering.resolved
    mounts = [*pod_mounts(layout), *render_auth(spec.auth).mounts]
    if rendering.goldens_config_maps:
        mounts.append(mount(names.VOLUME_GOLDENS, path=GOLDENS_MOUNT))
    return {
        "name": names.CONTAINER_RUNTIME,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "args": _serve_arguments(rendering, spec=spec, profile=profile, layout=layout),
        "terminationMessagePolicy": LAST_WORDS,
        "env": environment(),
        "ports": container_ports(),
        "startupProbe": _probe(
            ports.STARTUP,
            period=STARTUP_PERIOD_SECONDS,
            failures=ceil(spec.rollout.startup_timeout_seconds / STARTUP_PERIOD_SECONDS),
        ),
        "readinessProbe": _probe(ports.READY, period=READY_PERIOD_SECONDS, failures=READY_FAILURES),
        "livenessProbe": _probe(ports.LIVE, period=LIVE_PERIOD_SECONDS, failures=LIVE_FAILURES),
        "resources": size_resources(
            spec.resources.model_dump(),
            profile=profile.resources,
            weights=resolved.inspection.weights,
            runtime=spec.runtime,
        ),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }


def name_files(rendering: Rendering, *, layout: Layout) -> list[str]:
    """Arguments of a container that reads the model's files: where they are, and what they must be."""
    origin = rendering.resolved.origin
    folder = MODEL_MOUNT if layout.fetches else folder_below(MODEL_MOUNT, origin=origin)
    files = ["--cache", CACHE_MOUNT] if layout.cache else ["--model", folder]
    return [*files, "--resolved", f"{CONFIG_MOUNT}/{ports.MODEL_FILE}"]


def pod_mounts(layout: Layout) -> list[dict[str, Any]]:
    """Of a container that reads the model's files."""
    return [
        mount(names.VOLUME_CACHE, path=CACHE_MOUNT) if layout.cache else mount("model", path=MODEL_MOUNT),
        mount("model-config", path=CONFIG_MOUNT),
        mount("keys", path=KEYS_MOUNT),
        temporary_mount(),
    ]


def _serve_arguments(rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile, layout: Layout) -> list[str]:
    arguments = ["serve", *name_files(rendering, layout=layout)]
    if layout.cache and spec.cache:
        arguments += ["--cache-verify", spec.cache.verify.value]
    arguments += ["--keys", KEYS_MOUNT, "--device", profile.device]
    if spec.runtime.dtype is not DtypeChoice.AUTO:  # its own default, and what pods run that are older than the field
        arguments += ["--dtype", spec.runtime.dtype.lower()]
    if rendering.goldens_config_maps:
        arguments += ["--goldens", GOLDENS_MOUNT]
    arguments += ["--failure-policy", FailurePolicy(spec.verification.failure_policy).value]
    arguments += ["--audit-grace-seconds", str(AUDIT_GRACE_SECONDS)]
    for name in served_names(rendering, spec=spec):
        arguments += ["--served-name", name]
    if spec.runtime.token_ids is not TokenIdsPolicy.REFUSE:
        arguments += ["--token-ids", spec.runtime.token_ids.value]
    return [*arguments, *render_auth(spec.auth).arguments, *LOG_ARGUMENTS]


def served_names(rendering: Rendering, *, spec: EmbeddingModelSpec) -> Sequence[str]:
    """NAME or NAME=PROMPT: the repository, the EmbeddingModel's own name, and the user's further ones.

    A name that the user lists is theirs: it then has the prompt they gave it.
    """
    listed = {item.name: item.prompt for item in spec.runtime.served_names}
    own = [name for name in (rendering.resolved.origin.repo, rendering.model) if name and name not in listed]
    return [*own, *(f"{name}={prompt}" if prompt else name for name, prompt in listed.items())]


def fetch_container(
    rendering: Rendering, *, spec: EmbeddingModelSpec, profile: Profile, layout: Layout, reach: Reach
) -> dict[str, Any]:
    """The private port shows its progress; no port is named, so that no scraper takes it for a server."""
    resolved = rendering.resolved
    target = ["--cache", CACHE_MOUNT] if layout.cache else ["--target", MODEL_MOUNT]
    arguments = ["fetch", "--resolved", f"{CONFIG_MOUNT}/{ports.MODEL_FILE}", *target]
    mounts = [
        mount(names.VOLUME_CACHE, path=CACHE_MOUNT, read_only=False)
        if layout.cache
        else mount("model", path=MODEL_MOUNT, read_only=False),
        mount("model-config", path=CONFIG_MOUNT),
        mount("keys", path=KEYS_MOUNT),
        temporary_mount(),
        *reach.mounts,
    ]
    if layout.is_mounted:
        arguments += ["--folder", folder_below(SOURCE_MOUNT, origin=resolved.origin)]
        mounts.append(mount("source", path=SOURCE_MOUNT))
    if _needs_work(rendering, layout=layout):
        arguments += ["--work", WORK_MOUNT]
        mounts.append(mount(names.VOLUME_WORK, path=WORK_MOUNT, read_only=False))
    return {
        "name": names.CONTAINER_FETCH,
        "image": profile.image,
        "imagePullPolicy": profile.image_pull_policy,
        "args": [
            *arguments,
            *reach.arguments,
            *("--keys", KEYS_MOUNT, "--private-port", str(ports.PRIVATE_PORT)),
            *LOG_ARGUMENTS,
        ],
        "terminationMessagePolicy": LAST_WORDS,
        "env": [{"name": "HOME", "value": TMP_MOUNT}, *reach.environment],
        "resources": size_fetch(resolved.manifest, asked=spec.resources.limits),
        "securityContext": container_security(),
        "volumeMounts": mounts,
    }


def _needs_work(rendering: Rendering, *, layout: Layout) -> bool:
    """Whether pickles are fetched, which are kept nowhere. Mounted ones are read where they are."""
    return bool(rendering.resolved.manifest.conversions) and not layout.is_mounted


def pod_volumes(rendering: Rendering, *, layout: Layout) -> list[dict[str, Any]]:
    """Volumes of a pod that takes the model's files as a serving pod does."""
    origin, manifest = rendering.resolved.origin, rendering.resolved.manifest
    volumes = []
    if layout.is_mounted:
        volumes.append(mounted_volume("source" if layout.fetches else "model", origin=origin))
    if layout.needs_folder:
        volumes.append(empty_volume("model", limit=volume_limit(manifest)))
    if layout.cache:
        volumes.append(cache_volume(layout.cache))
    if _needs_work(rendering, layout=layout):
        volumes.append(empty_volume(names.VOLUME_WORK, limit=work_limit(manifest)))
    volumes += [
        {"name": "model-config", "configMap": {"name": rendering.model_config_map}},
        keys_volume(rendering.model),
        temporary_volume(),
    ]
    if rendering.goldens_config_maps:
        volumes.append(goldens_volume(rendering.goldens_config_maps))
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
