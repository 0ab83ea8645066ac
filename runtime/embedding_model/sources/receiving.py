"""One part of one file from a server into a growing file, tried again where the connection fails."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import httpx

from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.growing import Gap, GrowingFile
from embedding_model.sources.manifest import mismatch
from embedding_model.sources.progress import Meter
from embedding_model.sources.retries import Failures, RetryPolicy, retrying

PROGRESS = 64 * 1024  # bytes of one answer that count as progress: fewer could go on for ever

# A connection that brings a byte now and then ends after as long as this rate would take, and is continued by another.
_SLOWEST = 32 * 1024  # bytes/s; on a line with less, eight connections would time out one after the other
_LEAST_SECONDS = 60.0

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)")


class Server(Protocol):
    """What has the files."""

    @property
    def name(self) -> str:
        """For messages."""

    def get(self, entry: FileEntry, *, wanted: tuple[int, int] | None) -> AbstractContextManager[httpx.Response]:
        """An answer of status 2xx, streamed, not compressed: bytes `wanted[0]` up to `wanted[1]` (excluded), or all.

        A server may ignore the range. Raises Refusal and Unavailable, also while the answer is read.
        """


def time_for(count: int) -> float:
    """Seconds in which so many bytes have to come over one connection."""
    return _LEAST_SECONDS + count / _SLOWEST


class Stopped(Exception):
    """Another file failed; this one is given up without a message of its own."""


class Receiver:
    """Fills gaps from one server until `stop` is set; any number of threads may use it."""

    def __init__(self, server: Server, *, retry: RetryPolicy, meter: Meter, stop: threading.Event) -> None:
        self._server = server
        self._retry = retry
        self._meter = meter
        self._stop = stop

    def fill(self, gap: Gap, *, file: GrowingFile, entry: FileEntry, begun: Callable[[bool], None]) -> None:
        """`begun` hears with each answer, before its bytes are read, whether the server has sent a part.

        Raises Refusal (HASH_MISMATCH for another size), Unavailable when the policy's attempts are used up, Stopped.
        """
        failures = Failures()
        retry = retrying(self._retry, failures=failures, stopped=self._stop)
        try:
            retry(self._attempt, gap, file=file, entry=entry, begun=begun, failures=failures)
        finally:
            file.note(gap)

    def _attempt(
        self, gap: Gap, *, file: GrowingFile, entry: FileEntry, begun: Callable[[bool], None], failures: Failures
    ) -> None:
        self._check_stop()
        whole = gap.position == 0 and gap.end == entry.size
        with self._server.get(entry, wanted=None if whole else (gap.position, gap.end)) as response:
            partial = response.status_code == 206
            self._check_answer(response, entry=entry, start=gap.position if partial else None)
            begun(partial)
            began = gap.position
            for block in _blocks(response, skip=0 if partial else gap.position):
                self._check_stop()
                room = gap.end - gap.position
                if len(block) > room:
                    if gap.end == entry.size:
                        raise mismatch(entry, found="more bytes")
                    if not room:  # of a server that sends more than the part
                        break
                    block = block[:room]
                file.write(block, gap=gap)
                self._meter.add(len(block))
                if gap.position - began >= PROGRESS:
                    failures.progressed()
        if gap.position < gap.end:
            raise Unavailable(f"{self._server.name} ended {entry.path} after {gap.position} of {entry.size} bytes")

    def _check_answer(self, response: httpx.Response, *, entry: FileEntry, start: int | None) -> None:
        """Size and position as announced, before anything is written. `start` is that of a part."""
        if start is None:
            size = response.headers.get("content-length", "")
        else:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or int(found.group(1)) != start:
                raise Unavailable(f"{self._server.name} answered another range of {entry.path} than was asked for")
            size = found.group(2)
        if size.isdecimal() and int(size) != entry.size:
            raise mismatch(entry, found=f"{int(size)} bytes")

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _blocks(response: httpx.Response, *, skip: int) -> Iterator[bytes]:
    """The body after its first `skip` bytes."""
    for block in response.iter_raw():
        if skip < len(block):
            yield block[skip:] if skip else block
        skip = max(0, skip - len(block))
