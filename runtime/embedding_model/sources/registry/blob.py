"""A blob as a stream: its bytes in order, hashed as they come, through cut connections and expired tokens."""

import gzip
import hashlib
import importlib
import io
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol, cast

import httpx

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.sources.receiving import PROGRESS, Stopped, time_for
from embedding_model.sources.registry.client import RegistryClient
from embedding_model.sources.registry.documents import Compression, Descriptor
from embedding_model.sources.retries import Failures, RetryPolicy, retrying

LAYER = "such layer"  # in messages: "has no such layer of ..."
# Real weights compress to two thirds at best; a thousandth is a bomb, or zeros that somebody tests with.
MOST_UNFOLDED = 100  # bytes for each byte of a layer
UNFOLDED_SPARE = 1024**3  # bytes
MOST_HEADERS = 500_000  # files, folders, links and extended headers in all archives of an image
_BUFFER = 1024 * 1024  # bytes; gzip asks for a few KiB at a time


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class BlobStream(io.RawIOBase):
    """Reads one blob. After a cut it goes on where it was, by a range request where the registry knows these.

    `received` hears of every new byte count. Raises Refusal, Unavailable (after the policy's attempts), Stopped.
    """

    def __init__(
        self,
        client: RegistryClient,
        *,
        blob: Descriptor,
        retry: RetryPolicy,
        stop: threading.Event,
        received: Callable[[int], None] = lambda count: None,
    ) -> None:
        super().__init__()
        self._client = client
        self._blob = blob
        self._stop = stop
        self._received = received
        self._failures = Failures()
        self._retry = retrying(retry, failures=self._failures, stopped=stop)
        self._digest = hashlib.sha256()
        self._position = 0  # bytes that were hashed and handed out, or are in `_block`
        self._block = memoryview(b"")
        self._fresh = 0  # bytes of the present connection
        self._connection = ExitStack()
        self._blocks: Iterator[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]  # typeshed's Buffer cannot be sliced
        if not self._block:
            if self._position == self._blob.size:
                return 0
            self._block = memoryview(self._retry(self._receive))
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        self._disconnect()
        super().close()

    def verify(self) -> None:
        """Read what is left and compare the hash; Refusal(HASH_MISMATCH)."""
        while self._position < self._blob.size:
            self._retry(self._receive)
        if self._digest.hexdigest() != self._blob.sha256:
            raise Refusal(
                Reason.HASH_MISMATCH,
                f"registry {self._client.name} sent other bytes for a layer than the image names: expected"
                f" {self._blob.digest}, found sha256:{self._digest.hexdigest()} ({self._position} bytes)",
            )

    def _receive(self) -> bytes:
        """The next bytes, at most the blob's size in all."""
        if self._stop.is_set():
            raise Stopped
        try:
            if self._blocks is None:
                self._blocks = self._connect()
            block = next(self._blocks, b"")
        except httpx.RequestError as error:
            self._disconnect()
            raise Unavailable(f"registry {self._client.name} broke off: {type(error).__name__}") from error
        except BaseException:
            self._disconnect()
            raise
        if not block:
            self._disconnect()
            raise Unavailable(
                f"registry {self._client.name} ended a layer after {self._position} of {self._blob.size} bytes"
            )
        block = block[: self._blob.size - self._position]
        self._position += len(block)
        self._digest.update(block)
        self._fresh += len(block)
        if self._fresh >= PROGRESS:
            self._failures.progressed()
        self._received(len(block))
        if self._position == self._blob.size:
            self._disconnect()
        return block

    def _connect(self) -> Iterator[bytes]:
        headers = {"range": f"bytes={self._position}-"} if self._position else {}
        path = f"blobs/{self._blob.digest}"
        self._fresh = 0
        seconds = time_for(self._blob.size)
        response = self._connection.enter_context(self._client.get(path, what=LAYER, headers=headers, seconds=seconds))
        continued = response.status_code == 206
        if continued and not response.headers.get("content-range", "").startswith(f"bytes {self._position}-"):
            raise Unavailable(f"registry {self._client.name} answered another range of a layer than was asked for")
        return _after(response.iter_raw(), skipped=0 if continued else self._position)

    def _disconnect(self) -> None:
        self._blocks = None
        self._connection.close()


def _after(blocks: Iterator[bytes], *, skipped: int) -> Iterator[bytes]:
    for block in blocks:
        if skipped < len(block):
            yield block[skipped:]
            skipped = 0
        else:
            skipped -= len(block)


class Budget:
    """What unpacking one image may take: a small archive that unfolds into terabytes is no model. Thread-safe."""

    def __init__(self, *, compressed: int) -> None:
        """`compressed` is the size of all layers in bytes."""
        self._bytes = MOST_UNFOLDED * compressed + UNFOLDED_SPARE
        self._headers = MOST_HEADERS
        self._lock = threading.Lock()

    def spend(self, count: int, *, headers: int = 0) -> None:
        """Refuses TooLarge."""
        with self._lock:
            self._bytes -= count
            self._headers -= headers
            if self._bytes < 0:
                raise Refusal(
                    Reason.TOO_LARGE,
                    f"the layers unfold to more than {MOST_UNFOLDED} times their size; push the files uncompressed, or"
                    " remove what is no model from the image",
                )
            if self._headers < 0:
                raise Refusal(Reason.TOO_LARGE, "the image holds too many files; push the model's own files alone")


class Decompressed:
    """What a layer's archive holds, counted by the budget. Refuses InvalidFile for what is not compressed so."""

    def __init__(self, stream: BlobStream, *, compression: Compression, budget: Budget) -> None:
        self._budget = budget
        self._compression = compression
        buffered = io.BufferedReader(stream, _BUFFER)
        if compression is Compression.GZIP:
            self._source: Readable = gzip.GzipFile(fileobj=buffered, mode="rb")
        elif compression is Compression.ZSTD:
            self._source = _zstd_reader(buffered)
        else:
            self._source = buffered

    def read(self, size: int, /) -> bytes:
        try:
            data = self._source.read(size)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self._broken() from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise self._broken() from error
        self._budget.spend(len(data))
        return data

    def _broken(self) -> Refusal:
        return Refusal(Reason.INVALID_FILE, f"a layer of the image is not {self._compression}, or ends too soon")


def _zstd_reader(stream: Readable) -> Readable:
    """Python brings zstd from 3.14 on; before that it is the package `zstandard`."""
    try:
        zstandard = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        raise Refusal(
            Reason.UNSUPPORTED_FORMAT,
            "a layer of the image is compressed with zstd, which this installation cannot read; push it with gzip, or"
            " uncompressed",
        ) from None
    reader = zstandard.ZstdDecompressor(max_window_size=128 * 1024**2).stream_reader(stream, read_across_frames=True)
    return cast(Readable, reader)
