"""A source that is a directory: a mounted volume, a checked-out repository, a saved model."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry, Origin, SourceKind
from embedding_model.sources.links import Links
from embedding_model.sources.listing import Listed, check_listing, missing_file, too_large
from embedding_model.sources.reading import hash_stream, open_regular

_MOST_NAMES = 100_000  # as many as git itself still handles well in one repository


@dataclass(frozen=True)
class _Stamp:
    """By which a file that was written to is known: size in bytes, time of the last change in nanoseconds."""

    size: int
    modified: int


class FolderSource:
    """The files below `path`. Names that begin with a dot (.git, .cache, a ConfigMap's ..data) are not listed.

    Links to files are followed while they stay inside the folder, or inside the hub cache that it is a snapshot of
    (`links`), and refused (UnsafePath) when they lead further; links to directories are not followed. A hash is
    computed once and kept. A file that changes between two looks at it raises Unavailable: what was inspected must be
    what is hashed, and a volume may still be being filled.
    """

    def __init__(self, path: Path, *, origin: Origin | None = None) -> None:
        self._root = path
        self._links = Links(path)
        self._origin = origin or Origin(kind=SourceKind.FOLDER, path=str(path))
        self._listing: tuple[Listed, ...] | None = None
        self._by_path: dict[str, Listed] = {}
        self._hashes: dict[str, FileEntry] = {}
        self._seen: dict[str, _Stamp] = {}
        self._read: dict[str, str] = {}  # sha256 of what was read whole

    @property
    def origin(self) -> Origin:
        return self._origin

    def files(self) -> Sequence[Listed]:
        """Every file, sorted by path. Refuses MissingFile when the folder does not exist."""
        if self._listing is None:
            if not self._root.is_dir():
                raise Refusal(Reason.MISSING_FILE, f"{self._root} is not a directory; expected a folder with a model")
            with _readable(str(self._root)):
                self._listing = check_listing(self._walk())
        return self._listing

    def read(self, path: str, *, limit: int) -> bytes:
        size = self._listed(path).size
        if size > limit:
            raise too_large(path, size=size, limit=limit)
        with self._opened(path) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise too_large(path, size=len(data), limit=limit)
        self._remember(path, sha256=hashlib.sha256(data).hexdigest())
        return data

    def read_range(self, path: str, *, start: int, length: int) -> bytes:
        self._listed(path)
        with self._opened(path) as file:
            file.seek(start)
            return file.read(length)

    def hash(self, path: str) -> FileEntry:
        self._listed(path)
        if path not in self._hashes:
            with self._opened(path) as file:
                size, digest = hash_stream(file)
            self._remember(path, sha256=digest)
            self._hashes[path] = FileEntry(path=path, size=size, sha256=digest)
        return self._hashes[path]

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO]:
        """The file, the same before and after as when it was listed and first opened."""
        with _readable(path), open_regular(self._follow(path)) as file:
            self._check_stamp(path, file=file)
            yield file
            self._check_stamp(path, file=file)

    def _check_stamp(self, path: str, *, file: BinaryIO) -> None:
        found = os.fstat(file.fileno())
        stamp = _Stamp(size=found.st_size, modified=found.st_mtime_ns)
        if self._seen.setdefault(path, stamp) != stamp or stamp.size != self._listed(path).size:
            raise _changed(path)

    def _remember(self, path: str, *, sha256: str) -> None:
        if self._read.setdefault(path, sha256) != sha256:
            raise _changed(path)

    def _listed(self, path: str) -> Listed:
        if not self._by_path:
            self._by_path = {file.path: file for file in self.files()}
        try:
            return self._by_path[path]
        except KeyError:
            raise missing_file(path) from None

    def _walk(self) -> Iterator[Listed]:
        count = 0
        for folder, folders, names in os.walk(self._links.root, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            count += len(folders) + len(names)
            if count > _MOST_NAMES:
                raise Refusal(
                    Reason.TOO_LARGE,
                    f"{self._root} holds more than {_MOST_NAMES} files and folders; expected the folder of one model",
                )
            for name in names:
                if not name.startswith("."):
                    yield from self._list_file((Path(folder) / name).relative_to(self._links.root).as_posix())

    def _list_file(self, path: str) -> Iterator[Listed]:
        target = self._follow(path)
        if target.is_file():
            yield Listed(path=path, size=target.stat().st_size)

    def _follow(self, path: str) -> Path:
        target = self._links.follow(path)
        if target is None:
            raise Refusal(
                Reason.UNSAFE_PATH,
                f"{path!r} is a link that leaves the model's folder; copy the files themselves into it (cp -rL)",
            )
        return target


def _changed(path: str) -> Unavailable:
    return Unavailable(f"{path!r} changed while it was read; it is read again when nothing writes to the volume")


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise missing_file(what) from None
    except PermissionError as error:
        raise Refusal(
            Reason.INVALID_FILE,
            f"{what!r} cannot be read by user {os.getuid()} (group {os.getgid()}); make it readable for that user",
        ) from error
    except OSError as error:
        raise Unavailable(f"{what!r} could not be read: {error.strerror or type(error).__name__}") from error
