"""The pause image: an archive that containerd imports, the same bytes each time."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from localcluster.pause import image_archive


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "pause"
    path.write_bytes(b"program")
    return path


def test_the_archive_holds_the_program_and_names_its_layer_by_hash(program: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(image_archive(program))) as archive:

        def read(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file
            return file.read()

        [manifest] = json.loads(read("manifest.json"))
        configuration = json.loads(read(manifest["Config"]))
        layer = read(manifest["Layers"][0])
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert configuration["config"]["User"] != "0"
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        [entry] = tar.getmembers()
        assert (entry.name, entry.mode, entry.size) == ("pause", 0o755, len(b"program"))


def test_the_same_program_makes_the_same_archive(program: Path) -> None:
    assert image_archive(program) == image_archive(program)
