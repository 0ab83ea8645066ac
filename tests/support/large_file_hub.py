"""A hub in the test's own process with one file large enough to come in parts."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedding_model.resolved import FileEntry, Origin, SourceKind
from localcluster.hub.server import running
from localcluster.hub.store import Store

REPO = "acme/large"
LARGE = "model.safetensors"
LARGE_BYTES = 200_000_003  # not a multiple of anything that the fetcher counts in


@dataclass(frozen=True)
class LargeFileHub:
    store: Store
    url: str
    origin: Origin
    entries: tuple[FileEntry, ...]  # a small file and the large one

    @property
    def large(self) -> FileEntry:
        return self.entries[-1]


@contextmanager
def hub_with_large_file(folder: Path, *, size: int = LARGE_BYTES) -> Iterator[LargeFileHub]:
    store = Store(folder / "hub")
    pushed = folder / "pushed"
    pushed.mkdir(parents=True)
    entries = (_write(pushed / "config.json", b"{}"), _write_large(pushed / LARGE, size=size))
    commit = store.push(pushed, REPO)
    (pushed / LARGE).unlink()
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main", revision=commit)
    with running(store) as url:
        yield LargeFileHub(store, url, origin, entries)


def _write(path: Path, content: bytes) -> FileEntry:
    path.write_bytes(content)
    return FileEntry(path=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def _write_large(path: Path, *, size: int) -> FileEntry:
    """Every megabyte differs from every other, so that one in another's place is noticed."""
    block = random.Random(4).randbytes(1_000_000)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for number in range(-(-size // len(block))):
            part = (number.to_bytes(8, "big") + block[8:])[: size - number * len(block)]
            file.write(part)
            digest.update(part)
    return FileEntry(path=path.name, size=size, sha256=digest.hexdigest())
