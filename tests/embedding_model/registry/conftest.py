"""A registry in this process, and a puller from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from image_puller import Puller
from scripted_registry import ScriptedRegistry, scripted_registry


@pytest.fixture
def registry() -> Iterator[ScriptedRegistry]:
    with scripted_registry() as registry:
        yield registry


@pytest.fixture
def elsewhere() -> Iterator[ScriptedRegistry]:
    """Another server, that nobody allowed."""
    with scripted_registry() as registry:
        yield registry


@pytest.fixture
def puller(registry: ScriptedRegistry, tmp_path: Path) -> Puller:
    return Puller(registry, tmp_path)
