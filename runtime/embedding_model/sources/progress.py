"""How far a fetch is: counted by the threads that fetch, read by whoever shows it."""

import threading
from collections.abc import Iterable

from embedding_model.ports import Progress
from embedding_model.resolved import FileEntry


class Meter:
    """Thread-safe. `expect` first, then `add` and `finish`; `lose` takes back what has to be fetched again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = self._files_done = self._bytes = self._bytes_done = 0

    def expect(self, entries: Iterable[FileEntry]) -> None:
        sizes = [entry.size for entry in entries]
        with self._lock:
            self._files += len(sizes)
            self._bytes += sum(sizes)

    def add(self, count: int) -> None:
        with self._lock:
            self._bytes_done += count

    def lose(self, count: int) -> None:
        self.add(-count)

    def finish(self) -> None:
        """One more file is in its place; its bytes were added before."""
        with self._lock:
            self._files_done += 1

    def read(self) -> Progress:
        with self._lock:
            return Progress(
                files=self._files, files_done=self._files_done, bytes=self._bytes, bytes_done=self._bytes_done
            )
