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
from embedding_model.sources.volume import open_part, volume_errors, write_all

_BLOCK = 4 * 1024 * 1024  # bytes


def copy(entries: Sequence[FileEntry], *, folder: Path, destination: Destination, meter: Meter) -> None:
    """Make `destination` hold every entry, from `folder` where it lacks one.

    Refuses MissingFile, UnsafePath and HashMismatch; raises Unavailable for a volume that cannot be read or written.
    """
    missing = take_stock(entries, destination=destination, meter=meter)
    check_space(missing, destination=destination)
    for entry in missing:
        copy_file(locate(entry, folder=folder), entry=entry, destination=destination, meter=meter)
        meter.finish()


def copy_file(source: Path, *, entry: FileEntry, destination: Destination, meter: Meter) -> None:
    """Give the bytes of one file the place of `entry`, if they are the entry's. Errors are those of `copy`."""
    part = destination.part(entry)
    try:
        _copy(source, entry=entry, part=part, meter=meter)
        destination.commit(entry, part=part)
    finally:
        destination.release(part)


def _copy(source: Path, *, entry: FileEntry, part: Path, meter: Meter) -> None:
    digest = hashlib.sha256()
    size = 0
    with volume_errors(source.parent):
        try:
            opened = open_regular(source)
        except (FileNotFoundError, NotADirectoryError):
            raise not_there(entry, folder=source.parent) from None
        with opened as file, volume_errors(part.parent), open_part(part) as target:
            while size <= entry.size and (block := file.read(_BLOCK)):
                write_all(target.fileno(), block)
                digest.update(block)
                size += len(block)
                meter.add(len(block))
    if (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise differs(entry, size=size, sha256=digest.hexdigest())
