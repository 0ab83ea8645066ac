"""Pulling from a registry as a test does it: no waiting between tries, and what came as a dict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from scripted_registry import ScriptedRegistry

from embedding_model.resolved import FileEntry
from embedding_model.sources.destination import FolderDestination
from embedding_model.sources.progress import Meter
from embedding_model.sources.registry import Credentials, Reference, pull_entries, pull_folder
from embedding_model.sources.retries import RetryPolicy


@dataclass
class Puller:
    """Pulls into a folder below `root`. `waits` are the seconds it would have waited between tries."""

    registry: ScriptedRegistry
    root: Path
    meter: Meter = field(default_factory=Meter)
    waits: list[float] = field(default_factory=list)
    attempts: int = 4
    connections: int = 4
    client: httpx.Client | None = None

    @property
    def retry(self) -> RetryPolicy:
        return RetryPolicy(attempts=self.attempts, sleep=self.waits.append)

    def folder(
        self, reference: Reference, *, path: str = "/models", credentials: Credentials | None = None
    ) -> Mapping[str, bytes]:
        """The files that a pull of the whole folder gives."""
        target = self.root / "folder"
        pull_folder(
            reference=reference,
            path=path,
            access=self.registry.access,
            folder=target,
            meter=self.meter,
            credentials=credentials,
            retry=self.retry,
            connections=self.connections,
            client=self.client,
        )
        return files_of(target)

    def entries(
        self, reference: Reference, *, entries: tuple[FileEntry, ...], tidy: bool = True
    ) -> Mapping[str, bytes]:
        """The files that a pull of these entries gives. `tidy` removes the parts of files that did not become whole."""
        target = self.root / "entries"
        destination = FolderDestination(target)
        pull_entries(
            entries,
            reference=reference,
            access=self.registry.access,
            destination=destination,
            meter=self.meter,
            retry=self.retry,
            connections=self.connections,
            client=self.client,
        )
        if tidy:
            destination.tidy()
        return files_of(target)


def files_of(folder: Path) -> Mapping[str, bytes]:
    """Every file, which must be a plain one."""
    found = {}
    for path in sorted(folder.rglob("*")):
        assert not path.is_symlink()
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
