"""How a serving container learns who may ask: files of a Secret and of a ConfigMap, and flags that name them.

Both are mounted as folders, without a subPath: only so does the kubelet bring changes into a running pod, and a rotated
key needs no new pod. Neither is optional: a pod without its keys must not start.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.spec import AuthSpec
from embedding_operator.children.mounts import mount

API_KEYS_MOUNT: Final = "/etc/embedding/api-keys"
JWKS_MOUNT: Final = "/etc/embedding/jwks"


@dataclass(frozen=True)
class AuthParts:
    """Parts of a serving container, and the volumes that its mounts name."""

    arguments: Sequence[str] = ()
    mounts: Sequence[Mapping[str, Any]] = ()
    volumes: Sequence[Mapping[str, Any]] = ()


def render_auth(auth: AuthSpec | None) -> AuthParts:
    """Nothing where everybody may ask."""
    arguments: list[str] = []
    mounts: list[Mapping[str, Any]] = []
    volumes: list[Mapping[str, Any]] = []
    if auth and auth.api_keys_secret_ref:
        item = {"key": names.API_KEYS_KEY, "path": names.API_KEYS_KEY}
        secret = {"secretName": auth.api_keys_secret_ref.name, "items": [item], "optional": False}
        arguments += ["--api-keys", f"{API_KEYS_MOUNT}/{names.API_KEYS_KEY}"]
        mounts.append(mount(names.VOLUME_API_KEYS, path=API_KEYS_MOUNT))
        volumes.append({"name": names.VOLUME_API_KEYS, "secret": secret})
    if auth and auth.jwt:
        item = {"key": names.JWKS_KEY, "path": names.JWKS_KEY}
        config_map = {"name": auth.jwt.jwks_config_map_ref.name, "items": [item], "optional": False}
        arguments += ["--jwks", f"{JWKS_MOUNT}/{names.JWKS_KEY}"]
        arguments += [word for audience in auth.jwt.audiences for word in ("--jwt-audience", audience)]
        if auth.jwt.issuer:
            arguments += ["--jwt-issuer", auth.jwt.issuer]
        mounts.append(mount(names.VOLUME_JWKS, path=JWKS_MOUNT))
        volumes.append({"name": names.VOLUME_JWKS, "configMap": config_map})
    return AuthParts(arguments=arguments, mounts=mounts, volumes=volumes)
