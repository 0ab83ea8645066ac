"""A fixture as a folder, for libraries that read files by path."""

from pathlib import Path

from model_folders import write_files

from model_fixtures.fixture import ModelFixture


def write_fixture(fixture: ModelFixture, folder: Path) -> Path:
    return write_files(folder, fixture.files)
