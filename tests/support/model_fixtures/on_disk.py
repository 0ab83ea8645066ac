"""A fixture as a folder, for libraries that read files by path."""

from pathlib import Path

from model_fixtures.fixture import ModelFixture


def write_fixture(fixture: ModelFixture, folder: Path) -> Path:
    for path, data in fixture.files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder
