"""Images made by hand: archives with whatever a test needs in them, manifests around them."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_TAR = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_TAR = "application/vnd.docker.image.rootfs.diff.tar"
TITLE = "org.opencontainers.image.title"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One member of an archive."""

    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    target: str = ""
    pax: Mapping[str, str] = field(default_factory=dict)


def folder(name: str) -> Entry:
    return Entry(name, type=tarfile.DIRTYPE)


def link(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.SYMTYPE, target=target)


def hard_link(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.LNKTYPE, target=target)


def archive(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=format) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.size = entry.type, entry.target, len(entry.data)
            info.pax_headers = dict(entry.pax)
            tar.addfile(info, io.BytesIO(entry.data))
    return output.getvalue()


@dataclass(frozen=True)
class Layer:
    data: bytes
    media_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    def descriptor(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": digest_of(self.data),
            "size": len(self.data),
        }
        return {**found, "annotations": dict(self.annotations)} if self.annotations else found


def layer(*entries: Entry) -> Layer:
    """As container tools push them: an archive under gzip."""
    return Layer(gzip.compress(archive(*entries), compresslevel=1, mtime=0), f"{OCI_TAR}+gzip")


def files_layer(files: Mapping[str, bytes], *, below: str = "models") -> Layer:
    return layer(*(Entry(f"{below}/{path}", data) for path, data in files.items()))


def file_layer(path: str, data: bytes, *, media_type: str = OCI_TAR) -> Layer:
    """As ORAS pushes a file: the blob is the file, whatever the media type says."""
    return Layer(data, media_type, {TITLE: path})


@dataclass(frozen=True)
class Image:
    """`manifests` are by digest, the image's own among them; so are `blobs`."""

    digest: str
    manifests: Mapping[str, tuple[str, bytes]]
    blobs: Mapping[str, bytes]


def image(*layers: Layer, media_type: str = OCI_MANIFEST, config_type: str | None = None, **extra: Any) -> Image:
    config = b'{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/false"]}}'
    types = {OCI_MANIFEST: "application/vnd.oci.image.config.v1+json"}
    kind = config_type or types.get(media_type, "application/vnd.docker.container.image.v1+json")
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": Layer(config, kind).descriptor(),
        "layers": [layer.descriptor() for layer in layers],
        **extra,
    }
    blobs = {digest_of(data): data for data in (config, *(layer.data for layer in layers))}
    return _image(document, media_type=media_type, blobs=blobs)


def index(
    *images: tuple[Image, Mapping[str, str] | None], media_type: str = OCI_INDEX, below: str = OCI_MANIFEST
) -> Image:
    manifests = []
    for each, platform in images:
        descriptor = {"mediaType": below, "digest": each.digest, "size": len(each.manifests[each.digest][1])}
        manifests.append({**descriptor, "platform": dict(platform)} if platform else descriptor)
    made = _image(
        {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}, media_type=media_type, blobs={}
    )
    return Image(
        digest=made.digest,
        manifests={digest: item for each, _ in images for digest, item in each.manifests.items()}
        | dict(made.manifests),
        blobs={digest: blob for each, _ in images for digest, blob in each.blobs.items()},
    )


def _image(document: Mapping[str, Any], *, media_type: str, blobs: Mapping[str, bytes]) -> Image:
    data = json.dumps(document).encode()
    return Image(digest=digest_of(data), manifests={digest_of(data): (media_type, data)}, blobs=blobs)
