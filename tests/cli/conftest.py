"""The command line in this process, and a folder with a tiny model."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from model_folders import write_files
from tiny_models import tiny_embedder

from embedding_operator.__main__ import cli

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(arguments), input=stdin)

    return run


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model", tiny_embedder())
