"""A hub in this process with one small model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_in_process import Hub, hub_with_small_model


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with hub_with_small_model(tmp_path) as hub:
        yield hub
