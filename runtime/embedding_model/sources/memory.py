"""A source whose files are a dict: for tests, and wherever the bytes are already at hand."""

import hashlib
from collections.abc import Mapping, Sequence

from embedding_model.resolved import FileEntry, Origin, SourceKind
from embedding_model.sources.listing import Listed, check_listing, missing_file, too_large


class MemorySource:
    """`files` maps relative posix paths to their content. Refuses unsafe paths on construction."""

    def __init__(self, files: Mapping[str, bytes], *, origin: Origin | None = None) -> None:
        self._files = dict(files)
        self._listing = check_listing(Listed(path=path, size=len(data)) for path, data in files.items())
        self._origin = origin or Origin(kind=SourceKind.FOLDER, path="memory")

    @property
    def origin(self) -> Origin:
        return self._origin

    def files(self) -> Sequence[Listed]:
        return self._listing

    def read(self, path: str, *, limit: int) -> bytes:
        data = self._content(path)
        if len(data) > limit:
            raise too_large(path, size=len(data), limit=limit)
        return data

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        return self._content(path)[start : start + length]

    def hash(self, path: str) -> FileEntry:
        data = self._content(path)
        return FileEntry(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def _content(self, path: str) -> bytes:
        try:
            return self._files[path]
        except KeyError:
            raise missing_file(path) from None
