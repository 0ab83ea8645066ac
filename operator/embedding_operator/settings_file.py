"""The shape of settings.yaml. The chart renders it; `settings.load_settings` reads it."""

import ssl
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from embedding_model.sources.access import HUB_REDIRECT_HOSTS


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as https://huggingface.co")
    if parts.username or parts.password:
        raise ValueError("an address must not carry credentials: every reader of a pod could see them")
    return url.rstrip("/")


def _check_proxy(url: str) -> str:
    if "@" in url:
        raise ValueError("a proxy's address must not carry credentials: it is a variable of pods in every namespace")
    return url


def _check_certificates(text: str | None) -> str | None:
    if not text:
        return None
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError("expected certificates as PEM text (-----BEGIN CERTIFICATE----- ...)") from None
    return text


_Url = Annotated[str, AfterValidator(_check_url)]
_Proxy = Annotated[str, AfterValidator(_check_proxy)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$")]
_Host = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
# As in the reference of an image: a first part without dot and port would be a name on Docker Hub.
_Registry = Annotated[
    str, Field(pattern=r"^(localhost|[-a-z0-9]{1,63}(\.[-a-z0-9]{1,63})+|[-a-z0-9.]{1,253}:[0-9]{1,5})$")
]
_Certificates = Annotated[str | None, AfterValidator(_check_certificates)]


class _FileModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class ProfileFile(_FileModel):
    image: str = Field(min_length=1)
    reference_image: str = Field(min_length=1)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    device: Literal["cpu", "cuda"] = "cpu"
    resources: dict[Literal["requests", "limits"], dict[str, str]] = Field(default_factory=dict)
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[dict[str, Any]] = Field(default_factory=list)
    runtime_class_name: str = ""


class MirrorFile(_FileModel):
    """A hub that answers like huggingface.co does. It redirects nowhere, unless hosts are named."""

    endpoint: _Url
    redirect_hosts: list[_Host] = Field(default_factory=list)
    certificates: _Certificates = None
    private: bool = False


class HubFile(_FileModel):
    endpoint: _Url = "https://huggingface.co"
    redirect_hosts: list[_Host] = Field(default_factory=lambda: list(HUB_REDIRECT_HOSTS))
    certificates: _Certificates = None
    mirrors: dict[_Name, MirrorFile] = Field(default_factory=dict)
    poll_seconds: float = Field(default=600.0, ge=10)


class RegistryFile(_FileModel):
    """`endpoint` is https://HOST unless it says otherwise."""

    endpoint: _Url | None = None
    redirect_hosts: list[_Host] = Field(default_factory=list)
    certificates: _Certificates = None


class ProxyFile(_FileModel):
    http: _Proxy = ""
    https: _Proxy = ""
    no_proxy: str = ""


class AuditFile(_FileModel):
    seconds: float = Field(default=60.0, ge=5)


class SettingsFile(_FileModel):
    hub: HubFile = HubFile()
    registries: dict[_Registry, RegistryFile] = Field(default_factory=dict)
    image_volumes: bool = False
    proxy: ProxyFile = ProxyFile()
    profiles: dict[_Name, ProfileFile] = Field(min_length=1)
    default_profile: _Name = "cpu"
    image_pull_secrets: list[_Name] = Field(default_factory=list)
    upgrade_policy: Literal["Keep", "Rolling"] = "Keep"
    watch_namespaces: list[_Name] = Field(default_factory=list)
    workers: int = Field(default=8, ge=1, le=64)
    resync_seconds: float = Field(default=600.0, ge=10)
    audit: AuditFile = AuditFile()

    @model_validator(mode="after")
    def _check_default_profile(self) -> Self:
        if self.default_profile not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise ValueError(f"defaultProfile: expected one of the profiles ({known}), found {self.default_profile}")
        return self
