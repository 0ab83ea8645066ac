"""A directory as a source, and the source that is a dict: the same answers to the same questions."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from hub_in_process import REPO, Hub
from small_model import LOADED, small_model_files, write_small_model

from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import Origin, SourceKind
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.memory import MemorySource
from embedding_model.sources.selection import select
from embedding_model.sources.source import Source
from embedding_model.sources.verification import verify


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model")


@pytest.fixture(params=["folder", "memory"])
def source(request: pytest.FixtureRequest, folder: Path) -> Source:
    make: dict[str, Callable[[], Source]] = {
        "folder": lambda: FolderSource(folder),
        "memory": lambda: MemorySource(small_model_files()),
    }
    return make[request.param]()


def test_files_are_listed_with_their_sizes(source: Source) -> None:
    assert [(file.path, file.size) for file in source.files()] == sorted(
        (path, len(data)) for path, data in small_model_files().items()
    )


def test_whole_files_and_ranges_are_read(source: Source) -> None:
    weights = small_model_files()["model.safetensors"]

    assert source.read("config.json", limit=1000) == small_model_files()["config.json"]
    assert source.read_range("model.safetensors", start=10, length=5) == weights[10:15]
    assert source.read_range("model.safetensors", start=len(weights) - 3, length=10) == weights[-3:]
    assert source.read_range("model.safetensors", start=len(weights) + 3, length=10) == b""


def test_a_file_over_the_limit_is_refused(source: Source) -> None:
    with pytest.raises(Refusal) as refused:
        source.read("model.safetensors", limit=1000)
    assert refused.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("path", ["nothing.json", "1_Pooling", "../model/config.json"])
def test_a_file_that_is_not_listed_is_missing(source: Source, path: str) -> None:
    for ask in (
        lambda: source.read(path, limit=10),
        lambda: source.read_range(path, start=0, length=1),
        lambda: source.hash(path),
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert refused.value.reason is Reason.MISSING_FILE


def test_the_manifest_holds_size_and_hash_of_every_selected_file(source: Source) -> None:
    manifest = build_manifest(source, paths=select(source))

    assert tuple(file.path for file in manifest.files) == LOADED
    for file in manifest.files:
        content = small_model_files()[file.path]
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_equal_files_give_an_equal_manifest_wherever_they_are(folder: Path) -> None:
    on_disk, in_memory = FolderSource(folder), MemorySource(small_model_files())

    assert (
        build_manifest(on_disk, paths=select(on_disk)).digest()
        == build_manifest(in_memory, paths=select(in_memory)).digest()
    )


def test_names_that_begin_with_a_dot_are_not_listed(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / ".gitattributes").write_text("x")

    assert {file.path for file in FolderSource(folder).files()} == set(small_model_files())


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "vocab.txt").symlink_to("README.md")

    assert FolderSource(folder).read("vocab.txt", limit=100) == small_model_files()["README.md"]


def test_a_link_that_leaves_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (folder / "vocab.txt").symlink_to(tmp_path / "secret")

    with pytest.raises(Refusal) as refused:
        FolderSource(folder).files()

    assert refused.value.reason is Reason.UNSAFE_PATH
    assert "'vocab.txt'" in refused.value.message


@pytest.fixture
def snapshot(folder: Path, tmp_path: Path) -> Path:
    """The same model as huggingface_hub caches it: a folder of links to blobs."""
    repository = tmp_path / "cache" / "models--acme--small"
    commit = repository / "snapshots" / ("c" * 40)
    for file in (file for file in folder.rglob("*") if file.is_file()):
        place = commit / file.relative_to(folder)
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        for parent in (place.parent, blob.parent):
            parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, blob)
        place.symlink_to(os.path.relpath(blob, place.parent))
    return commit


def test_a_snapshot_of_a_hub_cache_is_read_through_its_links(snapshot: Path) -> None:
    source, plain = FolderSource(snapshot), MemorySource(small_model_files())

    manifest = build_manifest(source, paths=select(source))

    assert manifest == build_manifest(plain, paths=select(plain))
    verify(manifest=manifest, folder=snapshot)


def test_a_snapshot_made_by_huggingface_hub_itself_is_read(tmp_path: Path, hub: Hub) -> None:
    snapshot = huggingface_hub.snapshot_download(
        REPO, endpoint=hub.url, cache_dir=tmp_path / "hub-cache", revision=hub.commit, token=False
    )

    source, plain = FolderSource(Path(snapshot)), MemorySource(small_model_files())
    assert (Path(snapshot) / "model.safetensors").is_symlink()
    assert build_manifest(source, paths=select(source)) == build_manifest(plain, paths=select(plain))


def test_files_that_repositories_of_one_hub_cache_share_are_read_where_the_cache_says_that_it_shares(
    snapshot: Path,
) -> None:
    shared = snapshot.parents[2] / "blobs" / "ab"
    shared.mkdir(parents=True)
    blob = (snapshot / "config.json").resolve()
    blob.rename(shared / "abcd")
    blob.symlink_to(os.path.relpath(shared / "abcd", blob.parent))
    with pytest.raises(Refusal) as refused:
        FolderSource(snapshot).files()
    assert refused.value.reason is Reason.UNSAFE_PATH

    (shared.parent / ".huggingface-shared-blobs").write_text("1\n")

    assert FolderSource(snapshot).read("config.json", limit=1000) == small_model_files()["config.json"]


@pytest.mark.parametrize("leads_to", ["other repository", "outside", "itself"])
def test_a_link_of_a_snapshot_that_leaves_its_repository_is_refused(snapshot: Path, leads_to: str) -> None:
    target = {
        "other repository": snapshot.parents[2] / "models--acme--other" / "blobs" / "secret",
        "outside": snapshot.parents[3] / "secret",
        "itself": snapshot / "vocab.txt",
    }[leads_to]
    if leads_to != "itself":
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("x")
    (snapshot / "vocab.txt").symlink_to(target)

    with pytest.raises(Refusal, match=r"vocab\.txt") as refused:
        FolderSource(snapshot).files()
    assert refused.value.reason is Reason.UNSAFE_PATH


def test_a_folder_that_only_looks_like_a_snapshot_gives_its_links_no_more_room(folder: Path, tmp_path: Path) -> None:
    inner = tmp_path / "snapshots" / "main"
    inner.parent.mkdir()
    folder.rename(inner)
    (tmp_path / "secret").write_text("x")
    (inner / "vocab.txt").symlink_to(tmp_path / "secret")

    with pytest.raises(Refusal) as refused:
        FolderSource(inner).files()
    assert refused.value.reason is Reason.UNSAFE_PATH


def test_a_link_that_changes_its_mind_after_it_was_listed_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x" * len(small_model_files()["config.json"]))
    source = FolderSource(folder)
    source.files()
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(tmp_path / "secret")

    with pytest.raises(Refusal) as refused:
        source.read("config.json", limit=1000)
    assert refused.value.reason is Reason.UNSAFE_PATH


def test_a_pipe_in_the_place_of_a_file_does_not_hold_the_reader(folder: Path) -> None:
    source = FolderSource(folder)
    source.files()
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")

    with pytest.raises(Refusal) as refused:
        source.hash("config.json")
    assert refused.value.reason is Reason.MISSING_FILE


def test_a_folder_with_more_files_than_any_model_has_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding_model.sources.folder._MOST_NAMES", 5)

    with pytest.raises(Refusal, match="the folder of one model") as refused:
        FolderSource(folder).files()
    assert refused.value.reason is Reason.TOO_LARGE


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        FolderSource(tmp_path / "nothing").files()
    assert refused.value.reason is Reason.MISSING_FILE


def test_a_file_that_went_away_is_missing(folder: Path) -> None:
    source = FolderSource(folder)
    source.files()
    (folder / "config.json").unlink()

    with pytest.raises(Refusal) as refused:
        source.read("config.json", limit=1000)

    assert refused.value.reason is Reason.MISSING_FILE


def change_content(file: Path) -> None:
    """Other bytes under the same size and time: only the content tells."""
    stat, data = file.stat(), file.read_bytes()
    file.write_bytes(data[::-1])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def change_time(file: Path) -> None:
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("look", "change"),
    [
        pytest.param(lambda source: source.read("config.json", limit=1000), change_content, id="content"),
        pytest.param(lambda source: source.read("config.json", limit=1000), grow, id="size"),
        pytest.param(lambda source: source.read_range("config.json", start=0, length=5), change_time, id="time"),
        pytest.param(lambda source: source.files(), grow, id="since it was listed"),
    ],
)
def test_a_file_that_changes_between_inspecting_and_hashing_is_read_again_later(
    look: Callable[[Source], object], change: Callable[[Path], None], folder: Path
) -> None:
    source = FolderSource(folder)
    look(source)
    change(folder / "config.json")

    with pytest.raises(Unavailable, match=r"config\.json.*changed while it was read"):
        source.hash("config.json")


def test_a_file_that_changes_while_it_is_read_is_read_again_later(folder: Path) -> None:
    source = FolderSource(folder)
    source.read("config.json", limit=1000)
    change_content(folder / "config.json")

    with pytest.raises(Unavailable, match="changed while it was read"):
        source.read("config.json", limit=1000)


def test_the_origin_is_the_folder_unless_told_otherwise(folder: Path) -> None:
    volume = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/small")

    assert FolderSource(folder).origin == Origin(kind=SourceKind.FOLDER, path=str(folder))
    assert FolderSource(folder, origin=volume).origin == volume
