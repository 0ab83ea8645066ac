"""A small model on a hub, and the document that names its files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_in_process import REPO, Hub, hub_with_small_model
from runtime_under_test import resolved_model

from embedding_model.resolved import Origin, ResolvedModel, SourceKind
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with hub_with_small_model(tmp_path) as hub:
        yield hub


@pytest.fixture
def resolved(hub: Hub) -> ResolvedModel:
    """The pushed files at the hub's commit. Their weights are noise: what they say they are does not matter here."""
    source = FolderSource(hub.folder)
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main", revision=hub.commit)
    manifest = build_manifest(source, paths=select(source))
    return resolved_model().model_copy(update={"origin": origin, "manifest": manifest})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder
