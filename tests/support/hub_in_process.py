"""A hub that runs in the test's own process, with one model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_folders import write_files
from small_model import small_model_files, write_small_model

from localcluster.hub.server import running
from localcluster.hub.store import Store

REPO = "acme/small"


@dataclass(frozen=True)
class Hub:
    """`folder` is what was pushed to `repo`, `commit` its first commit."""

    store: Store
    url: str
    folder: Path
    repo: str
    commit: str

    def push(self, *, seed: int, branch: str = "main") -> str:
        """Another small model, of other weights and another config, as a new commit."""
        write_small_model(self.folder, seed=seed)
        return self.store.push(self.folder, self.repo, branch=branch)


@contextmanager
def hub_with_model(folder: Path, files: Mapping[str, bytes], *, repo: str) -> Iterator[Hub]:
    store = Store(folder / "hub")
    model = write_files(folder / "pushed", files)
    commit = store.push(model, repo)
    with running(store) as url:
        yield Hub(store, url, model, repo, commit)


@contextmanager
def hub_with_small_model(folder: Path) -> Iterator[Hub]:
    with hub_with_model(folder, small_model_files(), repo=REPO) as hub:
        yield hub
