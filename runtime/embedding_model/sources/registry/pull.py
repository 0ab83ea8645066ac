"""Pulling a model out of an image.

`pull_folder` brings a folder of the image, to be looked at; `pull_entries` the files of a manifest, to be served. Both
ask by digest, check every hash, and execute nothing.
"""

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.access import Access
from embedding_model.sources.destination import Destination
from embedding_model.sources.listing import check_path, too_large
from embedding_model.sources.progress import Meter
from embedding_model.sources.registry.blob import BlobStream, Budget, Stopped
from embedding_model.sources.registry.client import RegistryClient, read_body
from embedding_model.sources.registry.credentials import Credentials
from embedding_model.sources.registry.documents import (
    DOCUMENT_LIMIT,
    MEDIA_TYPES,
    Descriptor,
    Layer,
    image_path,
    read_document,
)
from embedding_model.sources.registry.pick import Wanted, pick
from embedding_model.sources.registry.reference import FIELD, Reference
from embedding_model.sources.registry.tree import ImageTree, LayerContent
from embedding_model.sources.registry.unpack import unpack
from embedding_model.sources.retries import Failures, RetryPolicy, retrying
from embedding_model.sources.volume import SPARE_BYTES, free_bytes, volume_errors

_STAGING = ".pull"  # FolderSource lists no names that begin with a dot
_SECONDS = 60.0  # for a manifest, from the request to the last byte

_log = logging.getLogger(__name__)
_A = TypeVar("_A")
_T = TypeVar("_T")


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
            _check_space(sum(layer.blob.size for layer in layers), free=_free(folder))
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
    entries: Iterable[FileEntry],
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
    entries = tuple(entries)
    for entry in entries:
        check_path(entry.path)
    meter.expect(entries)
    missing = []
    for entry in entries:
        if destination.has(entry):
            meter.add(entry.size)
            meter.finish()
        else:
            missing.append(entry)
    if missing:
        _check_space(sum(entry.size for entry in missing), free=destination.free_bytes())
        with _opened(
            reference, access, credentials=credentials, registry=registry, retry=retry, client=client
        ) as image:
            image.pick(missing, destination=destination, meter=meter, connections=connections)
    _log.info("all %d files of %s are there and verified", len(entries), reference)


class _Image:
    """One image while it is pulled."""

    def __init__(self, reference: Reference, *, client: RegistryClient, retry: RetryPolicy) -> None:
        self._reference = reference
        self._client = client
        self._retry = retry
        self._stop = threading.Event()

    def layers(self) -> tuple[Layer, ...]:
        """Lowest first. Refuses what `read_document` refuses, HashMismatch, TooLarge."""
        found = self._document(self._reference.digest)
        if isinstance(found, Descriptor):
            found = self._document(found.digest)
        if isinstance(found, Descriptor):
            raise Refusal(Reason.UNSUPPORTED_FORMAT, f"{self._reference} is an index of indexes; name the image itself")
        return found

    def unpack(
        self, layers: Sequence[Layer], *, scope: tuple[str, ...], staging: Path, meter: Meter, connections: int
    ) -> Sequence[LayerContent]:
        """What each layer holds, lowest first, its files below `staging`."""
        budget = _budget(layers)
        meter.expect(FileEntry(path="layer", size=layer.blob.size, sha256=layer.blob.sha256) for layer in layers)

        def read(number: int) -> LayerContent:
            layer = layers[number]
            own = staging / str(number)
            received = 0

            def count(more: int) -> None:
                nonlocal received
                received += more
                meter.add(more)

            try:
                with volume_errors(staging):
                    shutil.rmtree(own, ignore_errors=True)
                    own.mkdir()
                with self._stream(layer, received=count) as stream:
                    content = unpack(layer, stream=stream, scope=scope, staging=own, budget=budget)
            except BaseException:
                meter.lose(received)
                raise
            meter.finish()
            return content

        return self._side_by_side([_twice(read, number) for number in range(len(layers))], connections=connections)

    def pick(self, entries: Sequence[FileEntry], *, destination: Destination, meter: Meter, connections: int) -> None:
        """Bring the entries to their places. Refuses HashMismatch for one that is in no layer."""
        layers = self.layers()
        wanted = Wanted(entries, destination=destination, meter=meter, done=self._stop)
        budget = _budget(layers)
        hashes = {entry.sha256 for entry in entries}

        def read(layer: Layer) -> None:
            with self._stream(layer) as stream:
                pick(layer, stream=stream, wanted=wanted, budget=budget)

        # The last layer is the likeliest to hold the model; one that is a single file tells by its digest.
        useful = [layer for layer in reversed(layers) if layer.file is None or layer.blob.sha256 in hashes]
        useful.sort(key=lambda layer: layer.file is None)
        try:
            self._side_by_side([_twice(read, layer) for layer in useful], connections=connections)
        except (Refusal, Unavailable):
            if wanted.left():
                raise
        for entry in wanted.left():
            raise Refusal(
                Reason.HASH_MISMATCH,
                f"no layer of {self._reference} holds {entry.path} with sha256 {entry.sha256} ({entry.size} bytes); the"
                " manifest belongs to another image",
            )

    def _document(self, digest: str) -> tuple[Layer, ...] | Descriptor:
        ask = retrying(self._retry, failures=Failures(), stopped=self._stop)
        body, media_type = ask(self._read_document, digest)
        if hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
            raise Refusal(
                Reason.HASH_MISMATCH,
                f"registry {self._client.name} answered another manifest than {digest} of {self._reference.repository}",
            )
        return read_document(body, media_type=media_type, reference=self._reference)

    def _read_document(self, digest: str) -> tuple[bytes, str]:
        accepted = {"accept": ", ".join(MEDIA_TYPES)}
        with self._client.get(f"manifests/{digest}", what="such image", headers=accepted, seconds=_SECONDS) as response:
            body = read_body(response, limit=DOCUMENT_LIMIT + 1)
            if len(body) > DOCUMENT_LIMIT:
                raise too_large("the image's manifest", size=len(body), limit=DOCUMENT_LIMIT)
            return body, response.headers.get("content-type", "").partition(";")[0].strip()

    def _stream(self, layer: Layer, *, received: Callable[[int], None] = lambda count: None) -> BlobStream:
        return BlobStream(self._client, blob=layer.blob, retry=self._retry, stop=self._stop, received=received)

    def _side_by_side(self, tasks: Sequence[Callable[[], _T]], *, connections: int) -> list[_T]:
        """Every task's result; the first error stops the others. A task that gave up because of that says nothing."""
        with ThreadPoolExecutor(max_workers=max(1, connections), thread_name_prefix="pull") as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                for future in futures:
                    future.cancel()
        errors = [error for future in futures if not future.cancelled() and (error := future.exception()) is not None]
        errors = [error for error in errors if not isinstance(error, Stopped)]
        if errors:
            raise min(errors, key=lambda error: not isinstance(error, Refusal))
        return [future.result() for future in futures if not future.cancelled() and future.exception() is None]


def _twice(read: Callable[[_A], _T], argument: _A) -> Callable[[], _T]:
    """Once more after wrong bytes."""

    def run() -> _T:
        try:
            return read(argument)
        except Refusal as refusal:
            if refusal.reason is not Reason.HASH_MISMATCH:
                raise
            _log.warning("%s; asking once more", refusal.message)
            return read(argument)

    return run


@contextmanager
def _opened(
    reference: Reference,
    access: Access,
    *,
    credentials: Credentials | None,
    registry: str | None,
    retry: RetryPolicy | None,
    client: httpx.Client | None,
) -> Iterator[_Image]:
    given = (registry or httpx.URL(access.endpoint).netloc.decode()).lower()
    if reference.registry != given:
        raise Refusal(
            Reason.REGISTRY_NOT_ALLOWED,
            f"the image is on {reference.registry}; what was given here is the access to {given}",
            field=FIELD,
        )
    connection = RegistryClient(access=access, reference=reference, credentials=credentials, client=client)
    try:
        yield _Image(reference, client=connection, retry=retry or RetryPolicy())
    finally:
        connection.close()


def _budget(layers: Sequence[Layer]) -> Budget:
    return Budget(compressed=sum(layer.blob.size for layer in layers))


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


def _free(folder: Path) -> int:
    with volume_errors(folder):
        return free_bytes(folder)


def _check_space(needed: int, *, free: int) -> None:
    if needed + SPARE_BYTES > free:
        raise Unavailable(
            f"the volume has {free} bytes free; the image's files need {needed} more and {SPARE_BYTES} to spare. Give"
            " the pod more ephemeral storage, or the volume more room"
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
