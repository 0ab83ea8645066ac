"""A cache on a volume that any number of pods share: none breaks another, and nothing wrong is ever used."""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from embedding_model.cache.destination import CacheDestination
from embedding_model.cache.layout import FOLDER, TAG_FILE, CacheVerify
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry

OURS = Path(FOLDER)


def blob_of(entry: FileEntry) -> Path:
    return OURS / "blobs" / "sha256" / entry.sha256[:2] / entry.sha256


def fill(cache: CacheDestination, entry: FileEntry, *, content: bytes) -> Path:
    part = cache.part(entry)
    part.write_bytes(content)
    cache.commit(entry, part=part)
    return cache.locate(entry)


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_a_file_gets_its_place_by_its_hash_below_our_own_folder_alone(
    root: Path, entry: FileEntry, content: bytes
) -> None:
    cache = CacheDestination(root)
    assert not cache.has(entry)

    place = fill(cache, entry, content=content)

    assert place == root / blob_of(entry)
    assert place.read_bytes() == content
    assert cache.has(entry)
    assert everything_below(root) == {"theirs.txt", (OURS / TAG_FILE).as_posix(), blob_of(entry).as_posix()}


def test_a_part_is_no_file_yet(root: Path, entry: FileEntry, content: bytes) -> None:
    cache = CacheDestination(root)
    cache.part(entry).write_bytes(content)

    assert not cache.has(entry)
    with pytest.raises(Refusal, match="is not in the cache") as refused:
        cache.locate(entry)
    assert refused.value.reason is Reason.MISSING_FILE


def test_two_writers_of_one_file_grow_two_parts(root: Path, entry: FileEntry, content: bytes) -> None:
    first, second = CacheDestination(root, writer="pod-1"), CacheDestination(root, writer="pod-2")
    parts = first.part(entry), second.part(entry)
    assert parts[0] != parts[1]
    for part in parts:
        part.write_bytes(content)

    first.commit(entry, part=parts[0])
    second.commit(entry, part=parts[1])

    assert second.locate(entry).read_bytes() == content
    assert not list((root / FOLDER / "partial").iterdir())


def test_the_second_of_two_writers_leaves_the_file_of_the_first_to_those_who_read_it(
    root: Path, entry: FileEntry, content: bytes
) -> None:
    first, second = CacheDestination(root, writer="pod-1"), CacheDestination(root, writer="pod-2")
    late = second.part(entry)
    late.write_bytes(content)
    place = fill(first, entry, content=content)
    before = place.stat().st_ino

    second.commit(entry, part=late)

    assert place.stat().st_ino == before


def test_two_processes_of_one_name_never_write_to_one_part(root: Path, entry: FileEntry) -> None:
    first, second = CacheDestination(root, writer="pod"), CacheDestination(root, writer="pod")

    assert first.part(entry) != second.part(entry)


def test_a_writer_that_starts_anew_goes_on_with_its_own_part_and_no_other(root: Path, entry: FileEntry) -> None:
    before = CacheDestination(root, writer="pod-1")
    part = before.part(entry)
    part.write_bytes(b"some")
    before.release(part)

    assert CacheDestination(root, writer="pod-1").part(entry).read_bytes() == b"some"
    assert CacheDestination(root, writer="pod-2").part(entry).read_bytes() == b""


def test_many_threads_with_many_files_of_one_content_all_succeed(root: Path, entry: FileEntry, content: bytes) -> None:
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def write(number: int) -> None:
        try:
            start.wait()
            fill(CacheDestination(root, writer=f"pod-{number % 4}"), entry, content=content)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert CacheDestination(root).has(entry)


@pytest.mark.parametrize("verify", CacheVerify)
def test_a_truncated_blob_does_not_count_and_is_replaced(
    root: Path, entry: FileEntry, content: bytes, verify: CacheVerify
) -> None:
    fill(CacheDestination(root), entry, content=content)
    (root / blob_of(entry)).write_bytes(content[:-1])
    cache = CacheDestination(root, verify=verify)
    assert not cache.has(entry)

    fill(cache, entry, content=content)

    assert cache.has(entry)
    assert (root / blob_of(entry)).read_bytes() == content


def test_a_blob_of_the_right_size_with_other_bytes_counts_only_where_the_volume_is_trusted(
    root: Path, entry: FileEntry, content: bytes
) -> None:
    fill(CacheDestination(root), entry, content=content)
    (root / blob_of(entry)).write_bytes(content[::-1])

    assert CacheDestination(root, verify=CacheVerify.QUICK).has(entry)
    full = CacheDestination(root, verify=CacheVerify.FULL)
    assert not full.has(entry)
    assert (root / blob_of(entry)).exists()  # another pod may have replaced it in the meantime
    fill(full, entry, content=content)
    assert full.has(entry)


def test_a_link_in_the_place_of_a_blob_is_replaced_and_never_followed(
    root: Path, entry: FileEntry, content: bytes, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(content)
    place = root / blob_of(entry)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    cache = CacheDestination(root)
    assert not cache.has(entry)
    with pytest.raises(Refusal):
        cache.locate(entry)

    fill(cache, entry, content=content)

    assert not place.is_symlink()
    assert outside.read_bytes() == content


def test_a_link_in_the_place_of_a_part_is_left_alone(
    root: Path, entry: FileEntry, content: bytes, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    first = CacheDestination(root, writer="pod")
    part = first.part(entry)
    first.release(part)
    part.unlink()
    part.symlink_to(outside)

    fill(CacheDestination(root, writer="pod"), entry, content=content)

    assert outside.read_text() == "theirs"
    assert CacheDestination(root).has(entry)


@pytest.mark.parametrize("folder", [OURS, OURS / "partial", OURS / "blobs", OURS / "blobs" / "sha256"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_link_or_file_in_the_place_of_a_folder_ends_it_and_nothing_is_written_through_it(
    root: Path, entry: FileEntry, tmp_path: Path, folder: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / folder).parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        (root / folder).symlink_to(outside)
    else:
        (root / folder).write_text("")

    with pytest.raises(Unavailable, match=folder.name):
        CacheDestination(root).part(entry)
    assert list(outside.iterdir()) == []


def test_the_volumes_group_may_use_everything_and_nobody_else_may_even_read(
    root: Path, entry: FileEntry, content: bytes
) -> None:
    before = os.umask(0o077)
    try:
        place = fill(CacheDestination(root), entry, content=content)
    finally:
        os.umask(before)

    assert stat.S_IMODE(place.stat().st_mode) == 0o660
    for folder in (root / FOLDER, root / FOLDER / "partial", place.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2770


def test_a_root_that_is_not_there_is_never_made(tmp_path: Path, entry: FileEntry) -> None:
    with pytest.raises(Unavailable, match="mount the volume there"):
        CacheDestination(tmp_path / "nothing").part(entry)
    assert not (tmp_path / "nothing").exists()


def test_a_cache_that_may_only_be_read_serves_what_it_holds_and_says_why_it_takes_no_more(
    root: Path, entry: FileEntry, content: bytes, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    fill(CacheDestination(root), entry, content=content)
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    other = FileEntry(path="config.json", size=1, sha256="0" * 64)
    cache = CacheDestination(Path())

    with unprivileged():
        assert cache.has(entry)
        assert cache.locate(entry).read_bytes() == content
        assert not cache.has(other)
        with pytest.raises(Unavailable, match=r"may not write there; check the volume's owner and mode"):
            cache.part(other)


def test_a_file_that_is_found_counts_as_used(root: Path, entry: FileEntry, content: bytes) -> None:
    place = fill(CacheDestination(root), entry, content=content)
    os.utime(place, (1, 1))

    assert CacheDestination(root).has(entry)

    assert place.stat().st_mtime > 1
