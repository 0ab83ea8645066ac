"""Pushing folders: commits, idempotence, what becomes an LFS file."""

from pathlib import Path

import pytest
from small_model import small_model_files, write_small_model

from localcluster.hub.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "hub")


def test_an_equal_folder_makes_no_new_commit(store: Store, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")

    assert store.push(folder, "acme/small") == store.push(folder, "acme/small")


def test_a_changed_folder_moves_the_branch_and_keeps_the_old_commit(store: Store, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    old = store.push(folder, "acme/small")
    (folder / "README.md").unlink()
    new = store.push(folder, "acme/small")

    repository = store.find("acme/small")
    assert repository is not None
    assert repository.resolve("main") == new
    assert "README.md" in {entry.path for entry in repository.entries(old)}
    assert "README.md" not in {entry.path for entry in repository.entries(new)}


def test_another_process_sees_what_was_pushed(store: Store, tmp_path: Path) -> None:
    commit = store.push(write_small_model(tmp_path / "model"), "acme/small")

    again = Store(store.path)
    repository = again.find("acme/small")

    assert repository is not None
    assert repository.resolve("main") == commit
    assert again.repos() == ["acme/small"]


def test_weights_are_kept_by_hash_and_git_holds_a_pointer(store: Store, tmp_path: Path) -> None:
    commit = store.push(write_small_model(tmp_path / "model"), "acme/small")
    repository = store.find("acme/small")
    assert repository is not None

    entry = next(entry for entry in repository.entries(commit) if entry.path == "model.safetensors")

    assert entry.large is not None
    assert repository.large_file(entry.large.sha256).read_bytes() == small_model_files()["model.safetensors"]
    assert repository.blob(entry.oid).startswith(b"version https://git-lfs.github.com/spec/v1\n")
    assert entry.large.pointer_size == len(repository.blob(entry.oid))


@pytest.mark.parametrize("name", ["small", "acme/..", "../small", "acme/small/more", "acme/", "ac me/small"])
def test_a_name_that_is_not_org_and_name_is_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is not ORG/NAME"):
        store.push(write_small_model(tmp_path / "model"), name)
    assert store.find(name) is None


def test_a_forced_push_replaces_the_history_and_leaves_old_commits_readable(store: Store, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    old = store.push(folder, "acme/small")
    write_small_model(folder, seed=1)
    forced = store.push(folder, "acme/small", force=True)

    repository = store.find("acme/small")
    assert repository is not None
    assert repository.resolve("main") == forced != old
    assert repository.resolve(old) == old
    assert repository.resolve(f"{forced}~1") is None


def test_a_deleted_repository_is_gone_for_every_process_and_can_be_pushed_anew(store: Store, tmp_path: Path) -> None:
    folder = write_small_model(tmp_path / "model")
    other = Store(store.path)
    store.push(folder, "acme/small")
    assert other.find("acme/small") is not None

    assert store.delete("acme/small")

    assert store.find("acme/small") is None
    assert other.find("acme/small") is None
    assert not store.delete("acme/small")
    commit = store.push(folder, "acme/small")
    repository = other.find("acme/small")
    assert repository is not None
    assert repository.resolve("main") == commit
