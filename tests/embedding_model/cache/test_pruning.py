"""What is removed from a cache, and what stays."""

import os
from pathlib import Path

import pytest

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import FOLDER, TAG_FILE
from embedding_model.cache.pruning import SHORTEST_SECONDS, Pruned, prune
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry

DAY = 86400.0


def age(path: Path, *, days: float) -> None:
    now = path.stat().st_mtime
    os.utime(path, (now - days * DAY,) * 2)


def fill(cache: CacheDestination, entry: FileEntry, *, content: bytes) -> Path:
    part = cache.part(entry)
    part.write_bytes(content)
    cache.commit(entry, part=part)
    return cache.locate(entry)


@pytest.fixture
def place(root: Path, entry: FileEntry, content: bytes) -> Path:
    """A blob that was just put there."""
    return fill(CacheDestination(root), entry, content=content)


def pruned(root: Path, *, dry_run: bool = False) -> Pruned:
    return prune(root, unused_seconds=30 * DAY, part_seconds=DAY, dry_run=dry_run)


def test_a_file_that_nobody_used_for_long_goes_and_one_used_since_stays(root: Path, place: Path) -> None:
    age(place, days=29)
    assert pruned(root) == Pruned(kept=1)

    age(place, days=2)
    freed = pruned(root)

    assert not place.exists()
    assert (freed.files, freed.kept) == (1, 0)
    assert freed.bytes >= 7000
    assert (root / "theirs.txt").read_text() == "not ours"


def test_a_dry_run_says_the_same_and_removes_nothing(root: Path, place: Path) -> None:
    age(place, days=31)

    said = pruned(root, dry_run=True)

    assert place.exists()
    assert said == pruned(root)


def test_a_file_that_a_pod_starts_with_is_young_again(root: Path, place: Path, entry: FileEntry) -> None:
    age(place, days=31)

    assert CacheDestination(root).has(entry)

    assert pruned(root) == Pruned(kept=1)


def test_what_a_dead_writer_left_goes_with_its_journal_and_what_grows_stays(root: Path, entry: FileEntry) -> None:
    dead, alive = CacheDestination(root, writer="dead"), CacheDestination(root, writer="alive")
    left = dead.part(entry)
    left.write_bytes(b"x" * 10)
    journal = left.with_name(left.name + ".journal")
    journal.write_bytes(b"0 10\n")
    dead.release(left)
    growing = alive.part(entry)
    growing.write_bytes(b"x" * 10)
    alive.release(growing)
    for path in (left, journal):
        age(path, days=2)

    freed = pruned(root)

    assert not left.exists()
    assert not journal.exists()
    assert growing.exists()
    assert (freed.files, freed.parts) == (0, 1)


def test_a_part_that_a_living_writer_holds_stays_however_long_nothing_came(root: Path, entry: FileEntry) -> None:
    cache = CacheDestination(root)
    part = cache.part(entry)
    age(part, days=100)

    assert pruned(root) == Pruned()
    assert part.exists()


def test_only_names_of_blobs_and_parts_are_touched_and_no_link_is_followed(
    root: Path, place: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ("ab" + "0" * 62)).write_text("theirs")
    kept = [
        root / FOLDER / "notes.txt",
        root / FOLDER / TAG_FILE,
        root / FOLDER / "partial" / "notes.txt",
        place.parent / "notes.txt",
        place.parent / ("0" * 64),  # in the folder of another hash
        outside / ("ab" + "0" * 62),
    ]
    for path in kept:
        path.touch()
        age(path, days=100)
    (root / FOLDER / "blobs" / "sha256" / "ab").symlink_to(outside)
    link = place.parent / (place.name[:2] + "f" * 62)
    link.symlink_to(outside / "nothing")

    pruned(root)

    assert all(path.exists() for path in kept)
    assert link.is_symlink()


@pytest.mark.parametrize("missing", ["everything", TAG_FILE, "blobs"])
def test_a_folder_that_is_no_such_cache_is_left_alone(root: Path, place: Path, missing: str) -> None:
    age(place, days=100)
    if missing == "everything":
        (root / FOLDER).rename(root / "renamed")
    else:
        (root / FOLDER / missing).rename(root / FOLDER / "renamed")

    with pytest.raises(Refusal, match="holds no cache") as refused:
        pruned(root)

    assert refused.value.reason is Reason.MISSING_FILE
    assert sum(1 for path in root.rglob(place.name)) == 1


def test_a_cache_that_is_a_link_to_another_folder_is_refused(root: Path, place: Path, tmp_path: Path) -> None:
    age(place, days=100)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / FOLDER).symlink_to(root / FOLDER)

    with pytest.raises(Unavailable, match="is a link or a file"):
        pruned(elsewhere)
    assert place.exists()


def test_files_are_kept_for_an_hour_whatever_is_asked_for(root: Path, place: Path) -> None:
    with pytest.raises(ValueError, match="at least 3600 s"):
        prune(root, unused_seconds=SHORTEST_SECONDS - 1, part_seconds=DAY)
    assert place.exists()
