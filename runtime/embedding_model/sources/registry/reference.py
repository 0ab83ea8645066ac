"""An image by the digest of its manifest: REGISTRY/REPOSITORY@sha256:DIGEST.

The grammar is that of the distribution project (reference/reference.go), without what would let an image change or
leave open where it comes from: no tag, no default registry.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.access import Access

FIELD = "model.image.reference"
_EXAMPLE = "registry.example.com/models/bge-m3@sha256:<64 hex digits>"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\])(?::[0-9]{{1,5}})?")
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LIMIT = 512  # characters; registries take repository names of up to 255


@dataclass(frozen=True)
class Reference:
    """`registry` is HOST[:PORT] in lower case, `repository` the name without it, `digest` sha256:<64 hex digits>."""

    registry: str
    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}@{self.digest}"


def parse_reference(text: str) -> Reference:
    """Refuses ImageNotFound for what is no such reference, saying what to write instead."""
    if len(text) > _LIMIT or not text.isascii() or not text.isprintable():
        raise _refused(text, "is too long or holds characters that no image name has")
    if "://" in text:
        raise _refused(text, "begins with a scheme; write it without")
    name, at, digest = text.partition("@")
    if at and "/" in digest:
        raise _refused(text, "holds a user name; credentials belong into a pull secret")
    registry, slash, repository = name.partition("/")
    registry = registry.lower()
    if not slash or not _names_host(registry):
        raise _refused(text, "does not begin with the name of a registry")
    if not _REGISTRY.fullmatch(registry):
        raise _refused(text, "names a registry that is not HOST or HOST:PORT")
    repository, colon, _ = repository.partition(":")
    if colon or not at:
        raise _refused(text, "has a tag instead of a digest, and a tag can be moved to other bytes")
    if not _DIGEST.fullmatch(digest):
        raise _refused(text, "does not end with @sha256: and 64 hex digits in lower case")
    if not all(_PART.fullmatch(part) for part in repository.split("/")):
        raise _refused(text, "has a repository that is not lower-case names with slashes between them")
    return Reference(registry=registry, repository=repository, digest=digest)


def require_allowed(reference: Reference, *, registries: Mapping[str, Access]) -> Access:
    """How the image's registry is reached; refuses RegistryNotAllowed for one that the administrator did not name."""
    access = {host.lower(): access for host, access in registries.items()}.get(reference.registry)
    if access is None:
        known = ", ".join(sorted(registries)) or "none"
        raise Refusal(
            Reason.REGISTRY_NOT_ALLOWED,
            f"images of {reference.registry} are not allowed: the operator's Helm values name {known} (registries)."
            " Use one of these, or ask the administrator to add it",
            field=FIELD,
        )
    return access


def _names_host(registry: str) -> bool:
    """Docker's rule: otherwise the first part belongs to a repository of a default registry.

    A kubelet that mounts the image would ask that one, whatever the administrator allowed.
    """
    return "." in registry or ":" in registry or registry == "localhost"


def _refused(text: str, complaint: str) -> Refusal:
    _, _, after = text.partition("@")
    shown = after if "/" in after else text  # what stands before a host may be a password
    return Refusal(
        Reason.IMAGE_NOT_FOUND,
        f"the image reference {_quoted(shown)} {complaint}; expected {_EXAMPLE}",
        field=FIELD,
    )


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")
