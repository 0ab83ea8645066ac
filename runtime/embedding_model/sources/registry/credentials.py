"""A user's credentials for one registry, from a pull secret (type kubernetes.io/dockerconfigjson).

Which entry belongs to an image is the kubelet's rule (kubernetes.io/docs/concepts/containers/images, "Interpretation of
config.json"): an entry names a host, where a label may be a pattern, and perhaps a path; the longest match wins.
"""

import base64
import binascii
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.registry.reference import Reference

SECRET_LIMIT = 1024 * 1024  # bytes; what a Secret can hold


@dataclass(frozen=True)
class Credentials:
    """A user name and a password, or an identity token that is exchanged for access tokens (OAuth2)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str | None = field(default=None, repr=False)

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    auth: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    identitytoken: SecretStr | None = None


class _PullSecret(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    auths: Mapping[str, _Entry] = {}


def read_pull_secret(data: bytes, *, reference: Reference) -> Credentials | None:
    """The credentials for the image's registry; None when the secret has no entry for it.

    Refuses AccessDenied for a secret that cannot be read. No message ever holds any of its content.
    """
    try:
        if len(data) > SECRET_LIMIT:
            raise ValueError
        secret = _PullSecret.model_validate_json(data)
        matching = {key: rank for key in secret.auths if (rank := _rank(key, reference=reference)) is not None}
        if not matching:
            return None
        return _credentials(secret.auths[max(matching, key=lambda key: matching[key])])
    except (ValidationError, ValueError):
        raise Refusal(
            Reason.ACCESS_DENIED,
            "the pull secret cannot be read; expected a Secret of type kubernetes.io/dockerconfigjson, as"
            " `kubectl create secret docker-registry` makes it",
        ) from None  # the cause would show the secret's content


def _rank(key: str, *, reference: Reference) -> tuple[int, bool] | None:
    """How well an entry fits: the length of its path, then whether it has no pattern; None when it does not fit."""
    host, _, path = key.removeprefix("https://").removeprefix("http://").partition("/")
    path = path.strip("/")
    if path in ("v1", "v2"):  # `docker login` writes https://index.docker.io/v1/
        path = ""
    registry = "index.docker.io" if reference.registry == "docker.io" and host == "index.docker.io" else None
    if not _same_host(host.lower(), registry=registry or reference.registry):
        return None
    if path and not f"{reference.repository}/".startswith(f"{path}/"):
        return None
    return (len(path), "*" not in host)


def _same_host(pattern: str, *, registry: str) -> bool:
    """Label by label, so that `*.example.com` is one level deep; a port must be the same."""
    pattern, _, wanted_port = pattern.partition(":")
    host, _, port = registry.partition(":")
    labels, wanted = host.split("."), pattern.split(".")
    return (
        port == wanted_port
        and len(labels) == len(wanted)
        and all(fnmatch.fnmatchcase(label, each) for label, each in zip(labels, wanted, strict=True))
    )


def _credentials(entry: _Entry) -> Credentials:
    token = entry.identitytoken.get_secret_value() if entry.identitytoken else None
    username = entry.username or ""
    password = entry.password.get_secret_value() if entry.password else ""
    if entry.auth is not None and not (username and password):
        try:
            decoded = base64.b64decode(entry.auth.get_secret_value(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError from None
        username, _, password = decoded.partition(":")
    if not token and not username and not password:
        raise ValueError
    return Credentials(username=username, password=password.rstrip("\0\n"), identity_token=token or None)
