"""A shared volume with something of somebody else's on it, and a way to be a user who may not write there."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from embedding_model.resolved import FileEntry

NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    (folder / "theirs.txt").write_text("not ours")
    return folder


@pytest.fixture
def entry() -> FileEntry:
    return entry_of(b"weights" * 1000)


def entry_of(content: bytes, *, path: str = "model.safetensors") -> FileEntry:
    return FileEntry(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def content() -> bytes:
    return b"weights" * 1000


@pytest.fixture
def unprivileged(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """A user to whom file modes mean something: root may write anywhere. The volume is the current folder meanwhile,
    because the folders above it belong to root alone."""
    monkeypatch.chdir(root)

    @contextmanager
    def become() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    return become
