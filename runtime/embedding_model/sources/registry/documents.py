"""What a registry says about an image: index, manifest, layers.

Read are OCI indexes and manifests, Docker's manifest lists and schema 2, and artifacts as ORAS, ModelPack and Docker's
model tools push them: a layer is an archive (tar), or one file whose path is an annotation. The image's configuration,
and with it every command and environment variable, is never looked at.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from embedding_model.refusal import Reason, Refusal
from embedding_model.sources.json_size import check_json_size
from embedding_model.sources.registry.reference import Reference

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
MEDIA_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
DOCUMENT_LIMIT = 4 * 1024 * 1024  # bytes; the distribution specification lets registries refuse more

_LAYER_LIMIT = 4096  # layers; artifacts have one for each file
_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
# ModelPack (github.com/modelpack/model-spec), under its present and its former name
_FILE_PATHS = ("org.cncf.model.filepath", "org.cnai.model.filepath")

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Platform(BaseModel):
    model_config = ConfigDict(extra="ignore")

    os: str = ""
    architecture: str = ""
    variant: str | None = None


class Descriptor(BaseModel):
    """A blob or a manifest by its digest; `size` in bytes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    media_type: str = Field(alias="mediaType", max_length=255)
    digest: Digest
    size: int = Field(ge=0, le=2**53)
    annotations: Mapping[str, str] | None = None
    platform: _Platform | None = None

    @property
    def sha256(self) -> str:
        return self.digest.removeprefix("sha256:")


class _Document(BaseModel):
    """An index has `manifests`, a manifest `layers`."""

    model_config = ConfigDict(extra="ignore")

    media_type: str | None = Field(default=None, alias="mediaType", max_length=255)
    manifests: tuple[Descriptor, ...] | None = None
    layers: tuple[Descriptor, ...] | None = None


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True)
class Layer:
    """One layer: an archive, or with `file` one file of that path in the image."""

    blob: Descriptor
    compression: Compression = Compression.NONE
    file: str | None = None


def read_document(data: bytes, *, media_type: str, reference: Reference) -> tuple[Layer, ...] | Descriptor:
    """The layers of a manifest, lowest first; of an index the manifest to read instead.

    `media_type` is what the registry called it; a document that names its own must agree (the specification asks for
    that, so that one digest has one meaning). Refuses InvalidFile and UnsupportedFormat.
    """
    document = _parse(data, reference=reference)
    named = document.media_type or media_type
    if document.media_type is not None and media_type in MEDIA_TYPES and media_type != document.media_type:
        raise _invalid(reference, f"is {document.media_type!r}, and the registry calls it {media_type!r}")
    if named in (OCI_INDEX, DOCKER_LIST):
        if document.manifests is None or document.layers is not None:
            raise _invalid(reference, "is an index without manifests, or with layers")
        return _choose(document.manifests, reference=reference)
    if named in (OCI_MANIFEST, DOCKER_MANIFEST):
        if document.layers is None or document.manifests is not None:
            raise _invalid(reference, "is a manifest without layers, or with manifests")
        if len(document.layers) > _LAYER_LIMIT:
            raise _invalid(reference, f"has {len(document.layers)} layers; at most {_LAYER_LIMIT} are read")
        return tuple(_layer(blob, reference=reference) for blob in document.layers)
    raise Refusal(
        Reason.UNSUPPORTED_FORMAT,
        f"{reference} is of type {named!r}; expected an OCI image or artifact, or a Docker image of schema 2",
    )


def _parse(data: bytes, *, reference: Reference) -> _Document:
    try:
        check_json_size(data)
    except ValueError as error:
        raise _invalid(reference, f"is too large: {error}") from None
    try:
        return _Document.model_validate_json(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _invalid(reference, f"is not an image manifest or index (at {where or 'the top'})") from None


def _choose(manifests: tuple[Descriptor, ...], *, reference: Reference) -> Descriptor:
    """The only manifest, or the one for linux/amd64: a model's bytes are the same for every platform.

    Build tools add attestations for a platform that they call unknown; these are no images.
    """
    images = [item for item in manifests if item.platform is None or item.platform.os != "unknown"]
    if len(images) == 1:
        return images[0]
    matching = [
        item
        for item in images
        if item.platform and (item.platform.os, item.platform.architecture) == ("linux", "amd64")
    ]
    if len(matching) == 1:
        return matching[0]
    raise Refusal(
        Reason.UNSUPPORTED_FORMAT,
        f"{reference} is an index of {len(images)} images, and not exactly one of them is for linux/amd64; name the"
        " digest of the image itself",
    )


def _layer(blob: Descriptor, *, reference: Reference) -> Layer:
    annotations = blob.annotations or {}
    packed = next((annotations[name] for name in _FILE_PATHS if name in annotations), None)
    if packed is not None and not _is_archive(blob.media_type):
        return Layer(blob, file=packed)
    title = annotations.get(_TITLE)
    # ORAS gives a single file the type of an archive; what is one it marks
    if packed is None and title is not None and annotations.get(_UNPACK) != "true":
        return Layer(blob, file=title)
    if _is_archive(blob.media_type):
        return Layer(blob, compression=_compression(blob.media_type))
    raise Refusal(
        Reason.UNSUPPORTED_FORMAT,
        f"{reference} has a layer of type {blob.media_type!r}; expected an archive (tar, tar+gzip, tar+zstd), or a file"
        f" whose path is in the annotation {_TITLE}",
    )


def _is_archive(media_type: str) -> bool:
    base, _, suffix = media_type.replace("tar.gzip", "tar+gzip").replace("tar.zstd", "tar+zstd").partition("+")
    if "foreign" in base or "nondistributable" in base:
        return False  # lies on another server than the registry
    return base.endswith((".tar", "/x-tar", "/tar")) and suffix in ("", "gzip", "zstd")


def _compression(media_type: str) -> Compression:
    for compression in (Compression.GZIP, Compression.ZSTD):
        if media_type.endswith(compression):
            return compression
    return Compression.NONE


def image_path(text: str) -> tuple[str, ...]:
    """The parts of a path in an image; `/`, `./` and a slash at the end mean nothing. Refuses UnsafePath for `..`."""
    parts = tuple(part for part in text.split(posixpath.sep) if part not in ("", "."))
    if ".." in parts or "\0" in text:
        raise Refusal(Reason.UNSAFE_PATH, f"the image holds a path that leads upwards: {text[:200]!r}")
    return parts


def _invalid(reference: Reference, complaint: str) -> Refusal:
    return Refusal(Reason.INVALID_FILE, f"what the registry holds as {reference} {complaint}")
