"""A cross-encoder that ranks."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def distilled_folder() -> Path:
    """A small cross-encoder of ours, taught by MiniLM; trained on first use, about a minute."""
    from train_reranker import distilled_reranker

    return distilled_reranker()
