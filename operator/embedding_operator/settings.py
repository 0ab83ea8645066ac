"""Everything an administrator can set: the file settings.yaml (the chart renders it), flags and environment.

The file carries what the cluster's administrator decides (hub, mirrors, registries, runtime profiles); flags and
EMBEDDING_OPERATOR_* variables carry what differs per process (namespace, token, ports).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from embedding_model.sources.access import Access
from embedding_operator.settings_file import (
    HubFile,
    MirrorFile,
    ProfileFile,
    ProxyFile,
    RegistryFile,
    SettingsFile,
)


class SettingsError(Exception):
    """The settings cannot be used; the message names every wrong key, what was expected and what was found."""


class UpgradePolicy(StrEnum):
    """What a newer runtime image or template does to Deployments that run already."""

    KEEP = "Keep"  # nothing until their spec changes; reported as UpdateAvailable
    ROLLING = "Rolling"  # they are rolled in place


@dataclass(frozen=True)
class RuntimeProfile:
    """How one kind of device is served. `resources` are defaults for models that ask for none.

    `reference_image`: what golden cases are computed with; pulled as `image` is.
    """

    image: str
    reference_image: str
    image_pull_policy: str = "IfNotPresent"
    device: str = "cpu"
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    runtime_class: str = ""


@dataclass(frozen=True)
class Hub:
    """`private`: only pods in the models' namespaces reach it, so that resolving takes a Job there."""

    access: Access
    private: bool = False


@dataclass(frozen=True)
class LeaseSettings:
    """Timing of the leader's Lease, in seconds; see lease.py for what each one bounds.

    A standby takes over at most `duration` + `retry` after the leader died: 8 s keeps an upgrade or a lost node short,
    and 5 s to renew still rides out a restart of the API server.
    """

    name: str = "embedding-operator"
    duration: float = 8.0
    renew_deadline: float = 5.0
    retry: float = 1.0


@dataclass(frozen=True)
class Settings:
    """One operator process. Durations are in seconds.

    hub                where models without a mirror come from; the pods use it too, so it must resolve for both
    mirrors            name -> Hub, for spec.model.huggingFace.mirror
    poll_seconds       how often a branch under updatePolicy Track is asked for (+-20 %)
    registries         host[:port] -> Access, for spec.model.image; images of other registries are refused
    image_volumes      whether the cluster mounts images as volumes (Kubernetes 1.35); else our fetcher pulls them
    proxy              HTTP_PROXY, HTTPS_PROXY and NO_PROXY of pods that fetch
    profiles           name -> RuntimeProfile, for spec.runtime.profile
    default_profile    profile of models that name none
    image_pull_secrets names of Secrets that must exist in the models' namespaces
    upgrade_policy     see UpgradePolicy
    watch_namespaces   namespaces served; empty means all of them
    workers            reconciles that run at the same time; more only helps with thousands of models
    resync_seconds     every model is looked at again this often (+-20 %), whatever the watches said
    reconcile_timeout  a reconcile that takes longer is a bug or a dead connection: given up and retried
    namespace          where the Lease lives: the operator's own
    identity           who holds the Lease: the pod's name, unique per process
    service_account    the operator's own, in `namespace`: pods are asked with its tokens; None: they are never asked
    health_port        /healthz and /readyz
    metrics_port       Prometheus metrics; 0 turns them off
    shutdown_seconds   after SIGTERM, running reconciles get this long before they are cancelled
    audit_seconds      how often every pod is audited (up to 20 % sooner); more rarely where that would take more than
                       one per cent of the pod's time
    """

    hub: Hub = field(default_factory=lambda: Hub(Access(endpoint="https://huggingface.co")))
    mirrors: Mapping[str, Hub] = field(default_factory=dict)
    poll_seconds: float = 600.0
    registries: Mapping[str, Access] = field(default_factory=dict)
    image_volumes: bool = False
    proxy: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, RuntimeProfile] = field(default_factory=dict)
    default_profile: str = "cpu"
    image_pull_secrets: Sequence[str] = ()
    upgrade_policy: UpgradePolicy = UpgradePolicy.KEEP
    watch_namespaces: Sequence[str] = ()
    workers: int = 8
    resync_seconds: float = 600.0
    reconcile_timeout: float = 60.0
    namespace: str = "default"
    identity: str = "embedding-operator"
    service_account: str | None = None
    health_port: int = 8082
    metrics_port: int = 8083
    shutdown_seconds: float = 8.0
    audit_seconds: float = 60.0
    lease: LeaseSettings = field(default_factory=LeaseSettings)

    def with_process(self, **values: Any) -> Self:
        """The same settings with the flags of this process; None leaves a value as it is."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})

    def with_hub(self, endpoint: str | None) -> Self:
        """The same settings with another hub; None leaves it as it is."""
        return self if endpoint is None else replace(self, hub=Hub(Access(endpoint=endpoint)))


def default_settings() -> Settings:
    """Settings without a file: the `cpu` profile with this version's images, for `explain` and trying things out."""
    tag = version("embedding-operator")
    image, reference_image = f"embedding-operator/runtime:{tag}", f"embedding-operator/reference:{tag}"
    return Settings(profiles={"cpu": RuntimeProfile(image=image, reference_image=reference_image)})


def load_settings(path: Path) -> Settings:
    """The settings of a settings.yaml.

    Raises:
        SettingsError: the file cannot be read, is not YAML, or has unknown keys or wrong values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not valid YAML: {_where(error)}") from error
    try:
        return _settings(SettingsFile.model_validate(content if content is not None else {}))
    except ValidationError as error:
        lines = [f"  {_key_of(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join([f"the settings file {path} cannot be used:", *lines])) from error


def _profile(file: ProfileFile) -> RuntimeProfile:
    return RuntimeProfile(
        image=file.image,
        reference_image=file.reference_image,
        image_pull_policy=file.image_pull_policy,
        device=file.device,
        resources={str(key): dict(value) for key, value in file.resources.items()},
        node_selector=file.node_selector,
        tolerations=tuple(file.tolerations),
        runtime_class=file.runtime_class_name,
    )


def _access(file: MirrorFile | HubFile) -> Access:
    return Access(endpoint=file.endpoint, redirect_hosts=tuple(file.redirect_hosts), certificates=file.certificates)


def _registry(host: str, *, file: RegistryFile) -> Access:
    return Access(
        endpoint=file.endpoint or f"https://{host}",
        redirect_hosts=tuple(file.redirect_hosts),
        certificates=file.certificates,
    )


def _proxy(file: ProxyFile) -> Mapping[str, str]:
    variables = {"HTTP_PROXY": file.http, "HTTPS_PROXY": file.https, "NO_PROXY": file.no_proxy}
    return {name: value for name, value in variables.items() if value}


def _settings(file: SettingsFile) -> Settings:
    return Settings(
        hub=Hub(access=_access(file.hub)),
        mirrors={name: Hub(access=_access(item), private=item.private) for name, item in file.hub.mirrors.items()},
        poll_seconds=file.hub.poll_seconds,
        registries={host: _registry(host, file=item) for host, item in file.registries.items()},
        image_volumes=file.image_volumes,
        proxy=_proxy(file.proxy),
        profiles={name: _profile(item) for name, item in file.profiles.items()},
        default_profile=file.default_profile,
        image_pull_secrets=tuple(file.image_pull_secrets),
        upgrade_policy=UpgradePolicy(file.upgrade_policy),
        watch_namespaces=tuple(file.watch_namespaces),
        workers=file.workers,
        resync_seconds=file.resync_seconds,
        audit_seconds=file.audit.seconds,
    )


def _key_of(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "the file"


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "not UTF-8"
