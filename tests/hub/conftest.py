"""A hub in this process, and a plain client for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hub_in_process import Hub, hub_with_small_model


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with hub_with_small_model(tmp_path) as hub:
        yield hub


@pytest.fixture
def http(hub: Hub) -> Iterator[httpx.Client]:
    """A plain client that follows no redirect."""
    with httpx.Client(base_url=hub.url, trust_env=False, timeout=10) as client:
        yield client
