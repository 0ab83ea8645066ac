"""The files of a manifest out of an image's layers, found by their content.

The manifest was made from this very image, so every file of it lies in some layer as a member of that size and sha256.
Which layer, and under which name, does not matter: what has the hash is the file. So neither links nor whiteouts nor
names from an archive mean anything here, and nothing but the manifest's own paths is ever written.
"""

import hashlib
import threading
from collections.abc import Iterable

from embedding_model.resolved import FileEntry
from embedding_model.sources.copying import copy_file
from embedding_model.sources.destination import Destination
from embedding_model.sources.progress import Meter
from embedding_model.sources.receiving import Stopped
from embedding_model.sources.registry.archive import Kind, read_members
from embedding_model.sources.registry.blob import BlobStream, Budget, Decompressed, Readable
from embedding_model.sources.registry.documents import Layer
from embedding_model.sources.registry.unpack import checked_as_read
from embedding_model.sources.volume import open_part, volume_errors, write_all

_READ = 1024 * 1024  # bytes


class Wanted:
    """The entries that are not in their place yet. Thread-safe. Sets `done` when there is none left."""

    def __init__(
        self, entries: Iterable[FileEntry], *, destination: Destination, meter: Meter, done: threading.Event
    ) -> None:
        self.done = done
        self._destination = destination
        self._meter = meter
        self._lock = threading.Lock()
        self._left = {entry.path: entry for entry in entries}
        self._sizes = frozenset(entry.size for entry in self._left.values())
        self._writing = {path: threading.Lock() for path in self._left}

    def left(self) -> list[FileEntry]:
        with self._lock:
            return list(self._left.values())

    def offer(self, content: Readable, *, name: str, size: int) -> None:
        """Take a file if it is one of them. `name` decides only which of several of one size is tried first."""
        if size not in self._sizes:
            return
        fitting = [entry for entry in self.left() if entry.size == size]
        if not fitting:
            return
        entry = next((entry for entry in fitting if name.endswith(entry.path)), fitting[0])
        # Another layer may hold a file of that size too: who comes second waits, and is mostly not needed any more.
        with self._writing[entry.path]:
            if entry in self.left():
                self._write(content, entry=entry)

    def _write(self, content: Readable, *, entry: FileEntry) -> None:
        part = self._destination.part(entry)
        digest = hashlib.sha256()
        written = 0
        try:
            with volume_errors(part.parent), open_part(part) as file:
                while block := content.read(_READ):
                    digest.update(block)
                    write_all(file.fileno(), block)
                    written += len(block)
                    self._meter.add(len(block))
            found = [item for item in self.left() if (item.size, item.sha256) == (written, digest.hexdigest())]
            for item in found:
                if item is found[0]:
                    self._destination.commit(item, part=part)
                else:
                    self._copy(found[0], to=item)
                self._arrived(item)
        finally:
            self._meter.lose(written)
            self._destination.release(part)

    def _copy(self, entry: FileEntry, *, to: FileEntry) -> None:
        """The same content under another path; in a cache it is there already."""
        if self._destination.has(to):
            return
        copy_file(self._destination.locate(entry), entry=to, destination=self._destination, meter=Meter())

    def _arrived(self, entry: FileEntry) -> None:
        with self._lock:
            if self._left.pop(entry.path, None) is None:
                return
            if not self._left:
                self.done.set()
        self._meter.add(entry.size)
        self._meter.finish()


def pick(layer: Layer, *, stream: BlobStream, wanted: Wanted, budget: Budget) -> None:
    """Offer every file of an archive; ends early when nothing is wanted any more.

    Refuses what `read_members` refuses, HashMismatch where the layer is read to its end; raises Stopped, Unavailable.
    """
    source = Decompressed(stream, compression=layer.compression, budget=budget)

    def read() -> None:
        for member, content in read_members(source, budget=budget):
            if member.kind is Kind.FILE:
                wanted.offer(content, name="/".join(member.path), size=member.size)
            if wanted.done.is_set():
                raise Stopped

    checked_as_read(stream, read)
    stream.verify()
