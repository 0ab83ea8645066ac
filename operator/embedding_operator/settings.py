"""Everything an administrator can set: the file settings.yaml (the chart renders it), flags and environment.

The file carries what the cluster's administrator decides (hub, mirrors, runtime profiles); flags and
EMBEDDING_OPERATOR_* variables carry what differs per process (namespace, token, ports).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel


class SettingsError(Exception):
    """The settings cannot be used; the message names every wrong key, what was expected and what was found."""


class UpgradePolicy(StrEnum):
    """What a newer runtime image or template does to Deployments that run already."""

    KEEP = "Keep"  # nothing until their spec changes; reported as UpdateAvailable
    ROLLING = "Rolling"  # they are rolled in place


@dataclass(frozen=True)
class RuntimeProfile:
    """How one kind of device is served. `resources` are defaults for models that ask for none."""

    image: str
    image_pull_policy: str = "IfNotPresent"
    device: str = "cpu"
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    runtime_class: str = ""


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

    hub_endpoint       hub that models without a mirror come from; the pods use it too, so it must resolve for both
    mirrors            name -> URL, for spec.model.huggingFace.mirror
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
    pod_token_file     projected service-account token for the pods' private port; None: pods are never asked
    health_port        /healthz and /readyz
    metrics_port       Prometheus metrics; 0 turns them off
    shutdown_seconds   after SIGTERM, running reconciles get this long before they are cancelled
    audit_seconds      how often a pod's golden report is read again
    """

    hub_endpoint: str = "https://huggingface.co"
    mirrors: Mapping[str, str] = field(default_factory=dict)
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
    pod_token_file: Path | None = None
    health_port: int = 8082
    metrics_port: int = 8083
    shutdown_seconds: float = 8.0
    audit_seconds: float = 15.0
    lease: LeaseSettings = field(default_factory=LeaseSettings)

    def with_process(self, **values: Any) -> Self:
        """The same settings with the flags of this process; None leaves a value as it is."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


def default_settings() -> Settings:
    """Settings without a file: the `cpu` profile with this version's image, for `explain` and for trying things out."""
    image = f"embedding-operator/runtime:{version('embedding-operator')}"
    return Settings(profiles={"cpu": RuntimeProfile(image=image)})


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
        return _SettingsFile.model_validate(content if content is not None else {}).to_settings()
    except ValidationError as error:
        lines = [f"  {_key_of(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        raise SettingsError("\n".join([f"the settings file {path} cannot be used:", *lines])) from error


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://huggingface.co")
    if parts.username or parts.password:
        raise ValueError("an address must not carry credentials: every reader of a pod could see them")
    return url.rstrip("/")


_Url = Annotated[str, AfterValidator(_check_url)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]


class _FileModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class _ProfileFile(_FileModel):
    image: str = Field(min_length=1)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    device: Literal["cpu", "cuda"] = "cpu"
    resources: dict[Literal["requests", "limits"], dict[str, str]] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[dict[str, Any]] = Field(default_factory=list)
    runtime_class_name: str = ""

    def to_profile(self) -> RuntimeProfile:
        return RuntimeProfile(
            image=self.image,
            image_pull_policy=self.image_pull_policy,
            device=self.device,
            resources={str(key): dict(value) for key, value in self.resources.items()},
            node_selector=self.node_selector,
            tolerations=tuple(self.tolerations),
            runtime_class=self.runtime_class_name,
        )


class _SettingsFile(_FileModel):
    hub_endpoint: _Url = "https://huggingface.co"
    mirrors: dict[_Name, _Url] = Field(default_factory=dict)
    profiles: dict[_Name, _ProfileFile] = Field(min_length=1)
    default_profile: _Name = "cpu"
    image_pull_secrets: list[_Name] = Field(default_factory=list)
    upgrade_policy: UpgradePolicy = UpgradePolicy.KEEP
    watch_namespaces: list[_Name] = Field(default_factory=list)
    workers: int = Field(default=8, ge=1, le=64)
    resync_seconds: float = Field(default=600.0, ge=10)

    @model_validator(mode="after")
    def _check_default_profile(self) -> Self:
        if self.default_profile not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise ValueError(f"defaultProfile: expected one of the profiles ({known}), found {self.default_profile}")
        return self

    def to_settings(self) -> Settings:
        return Settings(
            hub_endpoint=self.hub_endpoint,
            mirrors=self.mirrors,
            profiles={name: profile.to_profile() for name, profile in self.profiles.items()},
            default_profile=self.default_profile,
            image_pull_secrets=tuple(self.image_pull_secrets),
            upgrade_policy=self.upgrade_policy,
            watch_namespaces=tuple(self.watch_namespaces),
            workers=self.workers,
            resync_seconds=self.resync_seconds,
        )


def _key_of(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "the file"


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "not UTF-8"
