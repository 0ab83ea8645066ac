"""How a container that fetches reaches its source: endpoint, certificates, proxies, token, pull secrets.

All of it is the administrator's (settings) or a name of a Secret in the model's namespace. Only the containers that
resolve and fetch get it, never the one that serves; tokens are files, never variables or arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_operator.api import names
from embedding_operator.api.spec import EmbeddingModelSpec
from embedding_operator.children.mounts import mount
from embedding_operator.children.profile import RenderSettings, choose_hub, choose_registry

TOKEN_MOUNT: Final = "/etc/embedding/token"  # noqa: S105 - a folder
PULL_MOUNT: Final = "/etc/embedding/pull"
CERTIFICATES: Final = "EMBEDDING_RUNTIME_CERTIFICATES"
PULL_KEY: Final = ".dockerconfigjson"


@dataclass(frozen=True)
class Reach:
    """Parts of a container, and the volumes that its mounts name."""

    arguments: Sequence[str] = ()
    environment: Sequence[Mapping[str, str]] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    volumes: Sequence[Mapping[str, Any]] = ()


def is_mounted(origin: Origin, *, settings: RenderSettings) -> bool:
    """Whether the kubelet brings the files, so that nothing has to be fetched."""
    if origin.kind is SourceKind.IMAGE:
        return settings.image_volumes
    return origin.kind is SourceKind.PERSISTENT_VOLUME_CLAIM


def reach_source(origin: Origin, *, spec: EmbeddingModelSpec, settings: RenderSettings) -> Reach:
    """Nothing for what is mounted. Raises Unrenderable for a mirror or a registry that is not configured."""
    if origin.kind is SourceKind.IMAGE:
        access = choose_registry(settings, reference=str(origin.image))
        if access is None or settings.image_volumes:
            return Reach()
        return _join(_reach(access, settings=settings), _show_pull_secrets(spec))
    if origin.kind is SourceKind.HUGGING_FACE:
        access = choose_hub(settings, mirror=origin.mirror).access
        return _join(_reach(access, settings=settings), _show_token(spec))
    return Reach()


def _reach(access: Access, *, settings: RenderSettings) -> Reach:
    hosts = [word for host in access.redirect_hosts for word in ("--redirect-host", host)]
    environment = [{"name": name, "value": value} for name, value in sorted(settings.proxy.items())]
    if access.certificates:
        environment.append({"name": CERTIFICATES, "value": access.certificates})
    return Reach(arguments=["--endpoint", access.endpoint, *hosts], environment=environment)


def _show_token(spec: EmbeddingModelSpec) -> Reach:
    """The key alone, and not optional: a pod without its token must not start, and ask the hub as anybody."""
    hub = spec.model.hugging_face
    if hub is None or hub.token_secret_ref is None:
        return Reach()
    item = {"key": names.TOKEN_KEY, "path": names.TOKEN_KEY}
    secret = {"secretName": hub.token_secret_ref.name, "items": [item], "optional": False}
    return Reach(
        arguments=["--token-file", f"{TOKEN_MOUNT}/{names.TOKEN_KEY}"],
        mounts=[mount(names.VOLUME_TOKEN, path=TOKEN_MOUNT)],
        volumes=[{"name": names.VOLUME_TOKEN, "secret": secret}],
    )


def _show_pull_secrets(spec: EmbeddingModelSpec) -> Reach:
    """As for the kubelet, a pull secret that does not exist is no error: the registry may let anybody read."""
    secrets = [item.name for item in spec.pod.image_pull_secrets]
    if not secrets:
        return Reach()
    sources = [
        {"secret": {"name": name, "items": [{"key": PULL_KEY, "path": _pull_file(number)}], "optional": True}}
        for number, name in enumerate(secrets)
    ]
    files = [f"{PULL_MOUNT}/{_pull_file(number)}" for number in range(len(secrets))]
    return Reach(
        arguments=[word for file in files for word in ("--pull-secret", file)],
        mounts=[mount("pull-secrets", path=PULL_MOUNT)],
        volumes=[{"name": "pull-secrets", "projected": {"sources": sources}}],
    )


def _pull_file(number: int) -> str:
    return f"{number}.json"


def _join(first: Reach, second: Reach) -> Reach:
    return Reach(
        arguments=[*first.arguments, *second.arguments],
        environment=[*first.environment, *second.environment],
        mounts=[*first.mounts, *second.mounts],
        volumes=[*first.volumes, *second.volumes],
    )
