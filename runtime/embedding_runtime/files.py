"""A model's files, each read once for what is loaded and hashed while it is read.

What is hashed is what is loaded: nothing is mapped from a volume that others can write to, and nothing is hashed in one
reading and loaded in another. Small files and moderate weights are read ahead into memory, while torch is imported;
larger weights are read from front to back when they are loaded, a piece at a time, so that they are never in memory
beside the model that is made of them. Only a cache may be trusted without hashes (`CacheVerify.QUICK`), where whoever
else can write to it is.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol, TypeVar

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import CacheVerify
from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.manifest import locate, mismatch, not_there
from embedding_model.sources.reading import open_regular

READ_BYTES = 4 * 1024 * 1024
# Weights of all files together that are held in memory beside the model. Reading and hashing as much takes about as
# long as importing torch does, so that reading more of it ahead would not make the start quicker.
READ_AHEAD_BYTES = 256 * 1024 * 1024
_WEIGHTS = (".safetensors", ".gguf")

Files = Mapping[str, bytearray]
Held = TypeVar("Held")


class Reader(Protocol):
    """One file, from front to back. What is read raises Refusal(HASH_MISMATCH) and Unavailable."""

    size: int

    def fill(self, view: memoryview) -> None:
        """The next len(view) bytes."""

    def borrow(self, count: int) -> memoryview | None:
        """The next `count` bytes where they lie; None, and nothing is read, where they are not in memory."""

    def skip(self, count: int) -> None: ...

    def finish(self) -> None:
        """Read what is left and check the whole. Raises Refusal(HASH_MISMATCH)."""


@dataclass(frozen=True)
class Place:
    """Where files lie. `locate` raises Refusal and Unavailable; `hashed`: bytes count only with the right sha256."""

    name: Path
    locate: "Locate"
    hashed: bool


class Locate(Protocol):
    def __call__(self, entry: FileEntry, /) -> Path: ...


class ModelFiles(Mapping[str, bytearray]):
    """Files by their path: some in memory, the others read and checked each time they are asked for."""

    def __init__(
        self, *, held: Mapping[str, bytearray], waiting: Mapping[str, FileEntry] | None = None, place: Place
    ) -> None:
        self._held = held
        self._waiting = waiting or {}
        self._place = place

    def __getitem__(self, path: str) -> bytearray:
        if path in self._waiting:
            return _read_verified(self._waiting[path], place=self._place)
        return self._held[path]

    def __contains__(self, path: object) -> bool:  # Mapping's own would read the file
        return path in self._held or path in self._waiting

    def __iter__(self) -> Iterator[str]:
        yield from self._held
        yield from self._waiting

    def __len__(self) -> int:
        return len(self._held) + len(self._waiting)

    def adding(self, held: Mapping[str, bytearray]) -> "ModelFiles":
        """These files and more that are in memory."""
        return ModelFiles(held={**self._held, **held}, waiting=self._waiting, place=self._place)

    def inside(self, folder: str) -> "ModelFiles":
        """The files of a folder under their names in it."""
        return ModelFiles(
            held=_inside(self._held, folder=folder), waiting=_inside(self._waiting, folder=folder), place=self._place
        )

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Reader]:
        """Raises Refusal: MISSING_FILE, UNSAFE_PATH, HASH_MISMATCH; Unavailable."""
        entry = self._waiting.get(path)
        if entry is None:
            yield MemoryReader(self._held[path])
            return
        with _opened(entry, place=self._place) as file:
            yield HashedReader(file, entry=entry, hashed=self._place.hashed)


def folder_place(folder: Path) -> Place:
    """A folder with every file under its own path: an emptyDir that was filled by a fetch, a volume, a checkout."""
    return Place(name=folder, locate=lambda entry: locate(entry, folder=folder), hashed=True)


def cache_place(root: Path, *, verify: CacheVerify) -> Place:
    """A cache that pods share, with every file under its sha256."""
    cache = CacheDestination(root, verify=verify)
    return Place(name=root, locate=cache.locate, hashed=verify is CacheVerify.FULL)


def read_files(
    place: Place | Path, *, manifest: Manifest, threads: int, read_ahead_bytes: int = READ_AHEAD_BYTES
) -> ModelFiles:
    """Every file of the manifest by its path; a Path is a `folder_place`. Weights over `read_ahead_bytes` wait.

    Raises Refusal: MISSING_FILE, UNSAFE_PATH, HASH_MISMATCH; Unavailable.
    """
    found = folder_place(place) if isinstance(place, Path) else place
    weights = [entry for entry in manifest.files if entry.path.endswith(_WEIGHTS)]
    late = {} if sum(entry.size for entry in weights) <= read_ahead_bytes else {entry.path: entry for entry in weights}
    early = sorted((entry for entry in manifest.files if entry.path not in late), key=lambda entry: -entry.size)
    for entry in late.values():
        with _opened(entry, place=found):
            pass  # a file that is not there is refused before torch is imported
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="read") as pool:
        contents = pool.map(lambda entry: _read_verified(entry, place=found), early)
        held = {entry.path: data for entry, data in zip(early, contents, strict=True)}
    return ModelFiles(held=held, waiting=late, place=found)


def files_in(files: Files, *, folder: str | None) -> Files:
    """The files of one folder (None: of the root, with those of its folders) under their names in it."""
    if not folder:
        return files
    return files.inside(folder) if isinstance(files, ModelFiles) else _inside(files, folder=folder)


@contextlib.contextmanager
def open_file(files: Files, *, path: str) -> Iterator[Reader]:
    """One of the files, to be read from front to back. Raises what `ModelFiles.open` raises."""
    if isinstance(files, ModelFiles):
        with files.open(path) as reader:
            yield reader
    else:
        yield MemoryReader(files[path])


class MemoryReader:
    """A file in memory, checked before."""

    def __init__(self, data: bytearray) -> None:
        self.size = len(data)
        self._rest = memoryview(data)

    def fill(self, view: memoryview) -> None:
        view[:] = self.borrow(len(view))

    def borrow(self, count: int) -> memoryview:
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def skip(self, count: int) -> None:
        self._rest = self._rest[count:]

    def finish(self) -> None:
        pass


class HashedReader:
    """An open file that is hashed on the way: what it holds counts only once `finish` has not refused it."""

    def __init__(self, file: FileIO, *, entry: FileEntry, hashed: bool) -> None:
        self.size = entry.size
        self._file = file
        self._entry = entry
        self._digest = hashlib.sha256() if hashed else None
        self._position = 0

    def fill(self, view: memoryview) -> None:
        done = 0
        while done < len(view):
            block = view[done : done + READ_BYTES]
            try:
                count = self._file.readinto(block)
            except OSError as error:
                raise _unreadable(self._entry, error=error) from error
            if not count:
                raise mismatch(self._entry, found=f"{self._position} bytes")
            if self._digest is not None:
                self._digest.update(block[:count])
            done += count
            self._position += count

    def borrow(self, count: int) -> None:
        return None

    def skip(self, count: int) -> None:
        buffer = memoryview(bytearray(min(count, READ_BYTES)))
        while count > 0:
            self.fill(buffer[:count])
            count -= len(buffer[:count])

    def finish(self) -> None:
        self.skip(self.size - self._position)
        try:
            longer = bool(self._file.read(1))
        except OSError as error:
            raise _unreadable(self._entry, error=error) from error
        if longer:
            raise mismatch(self._entry, found="more bytes")
        if self._digest is not None and self._digest.hexdigest() != self._entry.sha256:
            raise mismatch(self._entry, found=f"sha256 {self._digest.hexdigest()}")


def _inside(files: Mapping[str, Held], *, folder: str) -> dict[str, Held]:
    prefix = f"{folder}/"
    return {path.removeprefix(prefix): data for path, data in files.items() if path.startswith(prefix)}


def _read_verified(entry: FileEntry, *, place: Place) -> bytearray:
    data = bytearray(entry.size)
    with _opened(entry, place=place) as file:
        reader = HashedReader(file, entry=entry, hashed=place.hashed)
        reader.fill(memoryview(data))
        reader.finish()
    return data


@contextlib.contextmanager
def _opened(entry: FileEntry, *, place: Place) -> Iterator[FileIO]:
    path = place.locate(entry)
    try:
        file = open_regular(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise not_there(entry, folder=place.name) from error
    except OSError as error:
        raise _unreadable(entry, error=error) from error
    with file:
        yield file


def _unreadable(entry: FileEntry, *, error: OSError) -> Unavailable:
    return Unavailable(f"{entry.path} could not be read: {error.strerror}.")
