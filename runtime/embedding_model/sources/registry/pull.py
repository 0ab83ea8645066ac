"""Pulling a model out of an image.

`pull_folder` brings a folder of the image, to be looked at; `pull_entries` the files of a manifest, to be served. Both
ask by digest, check every hash, and execute nothing.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.access import Access
from embedding_model.sources.destination import Destination
from embedding_model.sources.progress import Meter
from embedding_model.sources.registry.client import RegistryClient
from embedding_model.sources.registry.credentials import Credentials
from embedding_model.sources.registry.documents import image_path
from embedding_model.sources.registry.image import RemoteImage
from embedding_model.sources.registry.reference import FIELD, Reference
from embedding_model.sources.registry.tree import ImageTree
from embedding_model.sources.retries import RetryPolicy
from embedding_model.sources.stock import check_space, take_stock
from embedding_model.sources.transfers import transfer
from embedding_model.sources.volume import SPARE_BYTES, free_bytes, volume_errors

_STAGING = ".pull"  # FolderSource lists no names that begin with a dot

_log = logging.getLogger(__name__)


def pull_folder(
    *,
    reference: Reference,
    path: str,
    access: Access,
    folder: Path,
    meter: Meter,
    credentials: Credentials | None = None,
    registry: str | None = None,
    connections: int = 4,
    retry: RetryPolicy | None = None,
    client: httpx.Client | None = None,
) -> None:
    """Make `folder` hold the files of the image's folder `path`, as the layers make them one upon the other.

    `folder` is empty or does not exist; after an error it is again. The meter counts the layers, in bytes as the
    registry has them. `registry` is the HOST[:PORT] that `access` was given for, the endpoint's own by default.
    Refuses RegistryNotAllowed, ImageNotFound, AccessDenied, MissingFile (no such folder), InvalidFile,
    UnsupportedFormat, UnsafePath, TooLarge, HashMismatch; raises Unavailable, ValueError for an access or a folder that
    cannot be used.
    """
    scope = image_path(path)
    with _opened(reference, access, credentials=credentials, registry=registry, retry=retry, client=client) as image:
        layers = image.layers()
        staging = _prepare(folder)
        try:
            _check_space(sum(layer.blob.size for layer in layers), folder=folder)
            contents = image.unpack(layers, scope=scope, staging=staging, meter=meter, connections=connections)
            tree = ImageTree()
            for content in contents:
                tree.apply(content)
            with volume_errors(folder):
                _lay_out(tree.files_below(scope), folder=folder)
                shutil.rmtree(staging)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def pull_entries(
    entries: Sequence[FileEntry],
    *,
    reference: Reference,
    access: Access,
    destination: Destination,
    meter: Meter,
    credentials: Credentials | None = None,
    registry: str | None = None,
    connections: int = 4,
    retry: RetryPolicy | None = None,
    client: httpx.Client | None = None,
) -> None:
    """Make `destination` hold these files, which a manifest names and the image has. Nothing is asked when it does.

    The meter counts the files. Refuses and raises what `pull_folder` does, and HashMismatch for a file that no layer
    of the image holds with that hash.
    """
    missing = take_stock(entries, destination=destination, meter=meter)
    if not missing:
        return
    check_space(missing, destination=destination)
    with _opened(reference, access, credentials=credentials, registry=registry, retry=retry, client=client) as image:
        layers = image.layers()
        blobs = {(layer.blob.sha256, layer.blob.size): layer for layer in layers if layer.file is not None}
        whole = [entry for entry in missing if (entry.sha256, entry.size) in blobs]
        transfer(
            whole,
            server=image,
            destination=destination,
            meter=meter,
            connections=connections,
            retry=retry or RetryPolicy(),
        )
        packed = [entry for entry in missing if entry not in whole]
        archives = [layer for layer in layers if layer.file is None]
        image.pick(packed, archives=archives, destination=destination, meter=meter, connections=connections)
    _log.info("all %d files of %s are there and verified", len(entries), reference)


@contextmanager
def _opened(
    reference: Reference,
    access: Access,
    *,
    credentials: Credentials | None,
    registry: str | None,
    retry: RetryPolicy | None,
    client: httpx.Client | None,
) -> Iterator[RemoteImage]:
    given = (registry or httpx.URL(access.endpoint).netloc.decode()).lower()
    if reference.registry != given:
        raise Refusal(
            Reason.REGISTRY_NOT_ALLOWED,
            f"the image is on {reference.registry}; what was given here is the access to {given}",
            field=FIELD,
        )
    connection = RegistryClient(access=access, reference=reference, credentials=credentials, client=client)
    try:
        yield RemoteImage(reference, client=connection, retry=retry or RetryPolicy())
    finally:
        connection.close()


def _prepare(folder: Path) -> Path:
    """The staging folder, empty. What a killed process left in it is removed."""
    staging = folder / _STAGING
    with volume_errors(folder):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        if [item for item in folder.iterdir() if item != staging]:
            staging.rmdir()
            raise ValueError(f"{folder} is not empty; an image is pulled into a folder of its own")
    return staging


def _check_space(needed: int, *, folder: Path) -> None:
    with volume_errors(folder):
        free = free_bytes(folder)
    if needed + SPARE_BYTES > free:
        raise Unavailable(
            f"the volume at {folder} has {free} bytes free; the image's layers have {needed}, and {SPARE_BYTES} are to"
            " spare. Give the pod more ephemeral storage, or the volume more room"
        )


def _lay_out(files: Iterable[tuple[str, Path]], *, folder: Path) -> None:
    """Give every file its name. One content under several names is written once where the volume can do that."""
    for name, content in files:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(content, place)
        except OSError:
            shutil.copyfile(content, place)
