"""A model's files in memory, each read once and, with a manifest, hashed while it is read.

What is hashed is what is loaded: nothing is mapped from a volume that others can write to, and nothing is read twice.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry, Manifest
from embedding_model.sources.manifest import locate, mismatch, not_there

READ_BYTES = 4 * 1024 * 1024

Files = Mapping[str, bytearray]


def read_files(folder: Path, *, manifest: Manifest, threads: int) -> Files:
    """Every file of the manifest by its path. Raises Refusal: MISSING_FILE, UNSAFE_PATH, HASH_MISMATCH; Unavailable."""
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="read") as pool:
        contents = pool.map(lambda entry: _read_verified(folder, entry=entry), _largest_first(manifest.files))
        return {entry.path: data for entry, data in zip(_largest_first(manifest.files), contents, strict=True)}


def files_in(files: Files, *, folder: str | None) -> Files:
    """The files of one folder (None: of the root) under their names in it."""
    prefix = f"{folder}/" if folder else ""
    return {path.removeprefix(prefix): data for path, data in files.items() if path.startswith(prefix)}


def _largest_first(entries: Iterable[FileEntry]) -> list[FileEntry]:
    return sorted(entries, key=lambda entry: -entry.size)


def _read_verified(folder: Path, *, entry: FileEntry) -> bytearray:
    path = locate(entry, folder=folder)
    data = bytearray(entry.size)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            read = _fill(file.readinto, data=data, update=digest.update)
            longer = bool(file.read(1))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise not_there(entry, folder=folder) from error
    except OSError as error:
        raise Unavailable(f"{entry.path} could not be read: {error.strerror}.") from error
    if read != entry.size or longer:
        raise mismatch(entry, found="more bytes" if longer else f"{read} bytes")
    if digest.hexdigest() != entry.sha256:
        raise mismatch(entry, found=f"sha256 {digest.hexdigest()}")
    return data


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
