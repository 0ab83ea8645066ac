"""A model's files in memory, each read once and hashed while it is read.

What is hashed is what is loaded: nothing is mapped from a volume that others can write to, and nothing is read twice.
Only a cache may be trusted without hashes (`CacheVerify.QUICK`), where whoever else can write to it is.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import CacheVerify
from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.manifest import locate, mismatch, not_there
from embedding_model.sources.reading import open_regular

READ_BYTES = 4 * 1024 * 1024

Files = Mapping[str, bytearray]


@dataclass(frozen=True)
class Place:
    """Where files lie. `locate` raises Refusal and Unavailable; `hashed`: bytes count only with the right sha256."""

    name: Path
    locate: Callable[[FileEntry], Path]
    hashed: bool


def folder_place(folder: Path) -> Place:
    """A folder with every file under its own path: an emptyDir that was filled by a fetch, a volume, a checkout."""
    return Place(name=folder, locate=lambda entry: locate(entry, folder=folder), hashed=True)


def cache_place(root: Path, *, verify: CacheVerify) -> Place:
    """A cache that pods share, with every file under its sha256."""
    cache = CacheDestination(root, verify=verify)
    return Place(name=root, locate=cache.locate, hashed=verify is CacheVerify.FULL)


def read_files(place: Place | Path, *, manifest: Manifest, threads: int) -> Files:
    """Every file of the manifest by its path; a Path is a `folder_place`.

    Raises Refusal: MISSING_FILE, UNSAFE_PATH, HASH_MISMATCH; Unavailable.
    """
    found = folder_place(place) if isinstance(place, Path) else place
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="read") as pool:
        contents = pool.map(lambda entry: _read_verified(entry, place=found), _largest_first(manifest.files))
        return {entry.path: data for entry, data in zip(_largest_first(manifest.files), contents, strict=True)}


def files_in(files: Files, *, folder: str | None) -> Files:
    """The files of one folder (None: of the root) under their names in it."""
    prefix = f"{folder}/" if folder else ""
    return {path.removeprefix(prefix): data for path, data in files.items() if path.startswith(prefix)}


def _largest_first(entries: Iterable[FileEntry]) -> list[FileEntry]:
    return sorted(entries, key=lambda entry: -entry.size)


def _read_verified(entry: FileEntry, *, place: Place) -> bytearray:
    path = place.locate(entry)
    data = bytearray(entry.size)
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            read = _fill(file.readinto, data=data, update=digest.update if place.hashed else _ignore)
            longer = bool(file.read(1))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise not_there(entry, folder=place.name) from error
    except OSError as error:
        raise Unavailable(f"{entry.path} could not be read: {error.strerror}.") from error
    if read != entry.size or longer:
        raise mismatch(entry, found="more bytes" if longer else f"{read} bytes")
    if place.hashed and digest.hexdigest() != entry.sha256:
        raise mismatch(entry, found=f"sha256 {digest.hexdigest()}")
    return data


def _ignore(block: memoryview) -> None:
    pass


def _fill(
    readinto: Callable[[memoryview], int | None], *, data: bytearray, update: Callable[[memoryview], None]
) -> int:
    """Fill `data`, handing every block to `update`; returns the number of bytes that came."""
    view = memoryview(data)
    position = 0
    while position < len(data):
        count = readinto(view[position : position + READ_BYTES])
        if not count:
            break
        update(view[position : position + count])
        position += count
    return position
