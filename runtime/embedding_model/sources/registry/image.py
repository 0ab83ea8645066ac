"""An image in a registry: its manifest, and its layers side by side."""

import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.answers import read_body
from embedding_model.sources.destination import Destination
from embedding_model.sources.listing import too_large
from embedding_model.sources.progress import Meter
from embedding_model.sources.receiving import Stopped, time_for
from embedding_model.sources.registry.blob import LAYER, BlobStream, Budget
from embedding_model.sources.registry.client import RegistryClient
from embedding_model.sources.registry.documents import DOCUMENT_LIMIT, MEDIA_TYPES, Descriptor, Layer, read_document
from embedding_model.sources.registry.pick import Wanted, pick
from embedding_model.sources.registry.reference import Reference
from embedding_model.sources.registry.tree import LayerContent
from embedding_model.sources.registry.unpack import unpack
from embedding_model.sources.retries import Failures, RetryPolicy, retrying
from embedding_model.sources.volume import volume_errors

_SECONDS = 60.0  # for a manifest, from the request to the last byte

_log = logging.getLogger(__name__)
_A = TypeVar("_A")
_T = TypeVar("_T")


class RemoteImage:
    """One image while it is pulled, by one call of `unpack` or `pick`.

    To `transfers` it is the server of the files that are layers of their own.
    """

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

    def pick(
        self,
        entries: Sequence[FileEntry],
        *,
        archives: Sequence[Layer],
        destination: Destination,
        meter: Meter,
        connections: int,
    ) -> None:
        """Bring the entries to their places. Refuses HashMismatch for one that is in no archive."""
        if not entries:
            return
        wanted = Wanted(entries, destination=destination, meter=meter, done=self._stop)
        budget = _budget(archives)

        def read(layer: Layer) -> None:
            with self._stream(layer) as stream:
                pick(layer, stream=stream, wanted=wanted, budget=budget)

        try:
            # the last layer is the likeliest to hold the model: below it are those of a base image
            self._side_by_side([_twice(read, layer) for layer in reversed(archives)], connections=connections)
        except (Refusal, Unavailable):
            if wanted.left():
                raise
        for entry in wanted.left():
            raise Refusal(
                Reason.HASH_MISMATCH,
                f"no layer of {self._reference} holds {entry.path} with sha256 {entry.sha256} ({entry.size} bytes); the"
                " manifest belongs to another image",
            )

    @property
    def name(self) -> str:
        return f"registry {self._client.name}"

    def get(self, entry: FileEntry, *, wanted: tuple[int, int] | None) -> AbstractContextManager[httpx.Response]:
        """A file that is a layer of its own, as a server of `transfers`."""
        headers = {} if wanted is None else {"range": f"bytes={wanted[0]}-{wanted[1] - 1}"}
        seconds = time_for(entry.size if wanted is None else wanted[1] - wanted[0])
        return self._client.get(f"blobs/sha256:{entry.sha256}", what=LAYER, headers=headers, seconds=seconds)

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


def _budget(layers: Sequence[Layer]) -> Budget:
    return Budget(compressed=sum(layer.blob.size for layer in layers))
