"""Verified copy: the files of a mounted folder into a destination, each hashed while it is copied."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from embedding_model.resolved import FileEntry
from embedding_model.sources.destination import Destination
from embedding_model.sources.manifest import locate, not_there
from embedding_model.sources.progress import Meter
from embedding_model.sources.reading import open_regular
from embedding_model.sources.stock import check_space, take_stock
from embedding_model.sources.verification import differs
from embedding_model.sources.volume import volume_errors

_BLOCK = 4 * 1024 * 1024  # bytes


def copy(entries: Sequence[FileEntry], *, folder: Path, destination: Destination, meter: Meter) -> None:
    """Make `destination` hold every entry, from `folder` where it lacks one.

    Refuses MissingFile, UnsafePath and HashMismatch; raises Unavailable for a volume that cannot be read or written.
    """
    missing = take_stock(entries, destination=destination, meter=meter)
    check_space(missing, destination=destination)
    for entry in missing:
        part = destination.part(entry)
        try:
            _copy(entry, folder=folder, part=part, meter=meter)
            destination.commit(entry, part=part)
        finally:
            destination.release(part)
        meter.finish()


def _copy(entry: FileEntry, *, folder: Path, part: Path, meter: Meter) -> None:
    source = locate(entry, folder=folder)
    digest = hashlib.sha256()
    size = 0
    with volume_errors(folder):
        try:
            opened = open_regular(source)
        except (FileNotFoundError, NotADirectoryError):
            raise not_there(entry, folder=folder) from None
        with opened as file, volume_errors(part.parent), part.open("wb") as target:
            while size <= entry.size and (block := file.read(_BLOCK)):
                target.write(block)
                digest.update(block)
                size += len(block)
                meter.add(len(block))
    if (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise differs(entry, size=size, sha256=digest.hexdigest())
