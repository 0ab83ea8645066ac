"""Where verified files go: a folder (an emptyDir, a developer's disk) or a cache that many pods share.

A file grows under a name of its own, and gets its place by a rename once its hash is right: what is in its place is
right, whoever wrote it.
"""

from pathlib import Path
from typing import Protocol

from embedding_model.resolved import FileEntry


class Destination(Protocol):
    """Errors: Refusal for what will not change, Unavailable for what may (a full or read-only volume)."""

    def has(self, entry: FileEntry) -> bool:
        """Whether the file is in its place with the right size and hash; a wrong one is removed."""

    def part(self, entry: FileEntry) -> Path:
        """Where the file grows; on the volume of its place. What an earlier process left there may be continued."""

    def commit(self, entry: FileEntry, *, part: Path) -> None:
        """Give a part whose hash is right its place. Another process may have been first: that is fine."""

    def locate(self, entry: FileEntry) -> Path:
        """The file in its place; Refusal(MISSING_FILE) when it is not there."""

    def free_bytes(self) -> int:
        """What the volume still takes."""
