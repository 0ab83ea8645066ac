"""A small mounted file that is read again whenever it changes, so that keys are rotated without a restart.

At the start a file that is missing or malformed is a refusal: nothing is served open, or shut, by accident. Later the
last good content stays in force: a Secret that is deleted, or saved with a slip, must not turn every client away.
"""

import logging
import stat
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from embedding_model.refusal import Reason, Refusal

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class Content(Sized, Protocol):
    """What a file holds. An empty one is valid: then nobody gets in."""

    def describe(self) -> str:
        """In a few words for the log, such as `2 keys`."""


T = TypeVar("T", bound=Content)


class Malformed(Exception):
    """What is wrong with a file's content, without a part of it."""


class WatchedFile(Generic[T]):
    """`what` names the content in messages (`the API keys`), `field` the field of the spec that it comes from.

    `parse` raises Malformed. Raises Refusal(INVALID_AUTH) for a file that is missing, malformed or empty.
    """

    def __init__(self, path: Path, *, what: str, field: str, max_bytes: int, parse: Callable[[bytes], T]) -> None:
        self._path = path
        self._what = what
        self._max_bytes = max_bytes
        self._parse = parse
        self._complaint = ""
        try:
            self._stamp = read_stamp(path)
            self._content = self._read()
        except (OSError, Malformed) as error:
            raise Refusal(Reason.INVALID_AUTH, f"{self._explain(error)}. Nothing is served.", field=field) from None
        if not self._content:
            message = f"The file {path} holds none of {what}, so nobody could ask. Nothing is served."
            raise Refusal(Reason.INVALID_AUTH, message, field=field)
        logger.info("%s: %s", what, self._content.describe())

    def current(self) -> T:
        """The content now, or the last good one. Costs one stat while nothing changes."""
        try:
            stamp = read_stamp(self._path)
            if stamp != self._stamp:
                self._refresh(stamp)
        except OSError as error:  # asked again each time: what forbids reading may change without a new stamp
            self._complain(error)
        return self._content

    def _refresh(self, stamp: Stamp) -> None:
        try:
            content = self._read()
        except Malformed as error:
            self._stamp = stamp
            self._complain(error)
            return
        self._stamp, self._content, self._complaint = stamp, content, ""
        level = logging.INFO if content else logging.ERROR
        logger.log(level, "%s were read again: %s", self._what, content.describe())

    def _read(self) -> T:
        with self._path.open("rb") as file:
            data = file.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise Malformed(f"it has more than {self._max_bytes} bytes")
        return self._parse(data)

    def _complain(self, error: OSError | Malformed) -> None:
        """Once for each kind of trouble, not with every request."""
        complaint = self._explain(error)
        if complaint != self._complaint:
            self._complaint = complaint
            logger.error("%s. What it held before stays in force.", complaint)

    def _explain(self, error: OSError | Malformed) -> str:
        words = error.strerror if isinstance(error, OSError) else str(error)
        return f"The file {self._path} with {self._what} cannot be used: {words}"


def read_stamp(path: Path) -> Stamp:
    """Changes with the content: mounts of Secrets and ConfigMaps swap a folder behind a link, so the inode changes too.

    Raises OSError, also for what is no file: opening a pipe would wait for ever.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "it is not a regular file")
    return found.st_mtime_ns, found.st_ino, found.st_size
