"""The seam between "where files are" and "what they say".

A Source lists and reads files of one immutable revision. `sources.hub` reads the hub's HTTP API by range request,
`sources.folder` a directory, and tests an in-memory dict.
"""

from collections.abc import Sequence
from typing import Protocol

from embedding_model.resolved import FileEntry, Origin


class ListedFile(Protocol):
    """A file as listed: sha256 is known for large (LFS) files, the git blob id for the others."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...


class Source(Protocol):
    """Synchronous; used from a worker thread. Errors: Refusal for what will not change, Unavailable for what may."""

    @property
    def origin(self) -> Origin: ...

    def files(self) -> Sequence[ListedFile]:
        """All files of the revision, sorted by path; unsafe paths (absolute, `..`) are refused."""

    def read(self, path: str, *, limit: int) -> bytes:
        """The whole file, verified against its listed hash; Refusal(TOO_LARGE) over `limit` bytes."""

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        """`length` bytes from `start` (fewer at the end of the file)."""

    def hash(self, path: str) -> FileEntry:
        """Path, size and sha256: from the listing for LFS files, else by reading the file."""
