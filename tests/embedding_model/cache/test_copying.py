"""Copying into a volume that others can write to at the same moment."""

import hashlib
import os
from pathlib import Path

import pytest

from embedding_model.cache.destination import CacheDestination
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry
from embedding_model.sources.copying import copy
from embedding_model.sources.progress import Meter

CONTENT = b"weights" * 1000
ENTRY = FileEntry(path="model.safetensors", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())


class Swapped(CacheDestination):
    """A cache in which somebody puts a link in a part's place as soon as the part is made."""

    outside: Path

    def part(self, entry: FileEntry) -> Path:
        part = super().part(entry)
        part.unlink()
        part.symlink_to(self.outside)
        return part


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "claim"
    folder.mkdir()
    (folder / ENTRY.path).write_bytes(CONTENT)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache


def test_a_link_that_takes_a_parts_place_is_not_written_through(folder: Path, cache: Path, tmp_path: Path) -> None:
    destination = Swapped(cache)
    destination.outside = tmp_path / "outside"
    destination.outside.write_bytes(b"of somebody else")

    with pytest.raises(Unavailable):
        copy([ENTRY], folder=folder, destination=destination, meter=Meter())

    assert destination.outside.read_bytes() == b"of somebody else"
    assert not CacheDestination(cache).has(ENTRY)


def test_a_pipe_in_a_files_place_holds_nobody(folder: Path, cache: Path) -> None:
    (folder / ENTRY.path).unlink()
    os.mkfifo(folder / ENTRY.path)

    with pytest.raises(Refusal) as refused:
        copy([ENTRY], folder=folder, destination=CacheDestination(cache), meter=Meter())
    assert refused.value.reason is Reason.MISSING_FILE
