"""A hub that runs in the test's own process, with one small model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from small_model import write_small_model

from localcluster.hub.server import running
from localcluster.hub.store import Store

REPO = "acme/small"


@dataclass(frozen=True)
class Hub:
    """`folder` is what was pushed to REPO, `commit` its first commit."""

    store: Store
    url: str
    folder: Path
    commit: str

    def push(self, *, seed: int, branch: str = "main") -> str:
        """Other weights and another config, as a new commit."""
        write_small_model(self.folder, seed=seed)
        return self.store.push(self.folder, REPO, branch=branch)


@contextmanager
def hub_with_small_model(folder: Path) -> Iterator[Hub]:
    store = Store(folder / "hub")
    model = write_small_model(folder / "pushed")
    commit = store.push(model, REPO)
    with running(store) as url:
        yield Hub(store, url, model, commit)
