"""Weights too large to be held beside the model are read a piece at a time, and are the same to the last bit."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import seeded_models
import torch
from parity import TEXTS

from embedding_model.refusal import Reason, Refusal
from embedding_runtime.architectures import stored
from embedding_runtime.architectures.stored import read_tensors
from embedding_runtime.backends.torch_backend import TorchBackend, load_backend
from embedding_runtime.core.input_tokenizers import load_tokenizer
from embedding_runtime.core.inputs import Text
from embedding_runtime.files import ModelFiles, files_in, read_files
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Dtype

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded_models.build(tmp_path_factory.mktemp("built") / "model", family="bert")


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    for path in built.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(built)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


def load(folder: Path, *, files: ModelFiles, dtype: Dtype = Dtype.FLOAT32) -> TorchBackend:
    resolved = resolve_folder(folder)
    return load_backend(
        files, inspection=resolved.inspection, serving=resolved.serving, device=torch.device("cpu"), dtype=dtype
    )


def read(folder: Path, *, read_ahead_bytes: int) -> ModelFiles:
    return read_files(folder, manifest=resolve_folder(folder).manifest, threads=1, read_ahead_bytes=read_ahead_bytes)


@pytest.mark.parametrize("dtype", [Dtype.FLOAT32, Dtype.BFLOAT16])
@pytest.mark.parametrize("piece_bytes", [64, stored.PIECE_BYTES])
def test_vectors_are_those_of_weights_in_memory(
    folder: Path, dtype: Dtype, piece_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PIECE_BYTES", piece_bytes)
    resolved, late = resolve_folder(folder), read(folder, read_ahead_bytes=0)
    tokenizer = load_tokenizer(late, inspection=resolved.inspection, serving=resolved.serving)
    batch = tokenizer.encode([Text(text) for text in TEXTS])

    expected = load(folder, files=read(folder, read_ahead_bytes=2**30), dtype=dtype).compute(batch)
    found = load(folder, files=late, dtype=dtype).compute(batch)

    for one, other in zip(found, expected, strict=True):
        assert one.dense is not None
        assert other.dense is not None
        np.testing.assert_array_equal(one.dense, other.dense)


@pytest.mark.parametrize("position", [-100, 20], ids=["a weight", "the header"])
def test_a_flipped_byte_is_refused_with_both_hashes_whatever_else_it_breaks(folder: Path, position: int) -> None:
    files = read(folder, read_ahead_bytes=0)
    expected = resolve_folder(folder).manifest.entry(WEIGHTS)
    assert expected is not None
    resolved = resolve_folder(folder)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[position] ^= 1
    (folder / WEIGHTS).write_bytes(data)

    with pytest.raises(Refusal) as refused:
        load_backend(
            files,
            inspection=resolved.inspection,
            serving=resolved.serving,
            device=torch.device("cpu"),
            dtype=Dtype.FLOAT32,
        )

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert expected.sha256 in refused.value.message
    assert hashlib.sha256(data).hexdigest() in refused.value.message


@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_a_file_of_another_size_is_refused(folder: Path, change: str) -> None:
    files = read(folder, read_ahead_bytes=0)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data + b"more" if change == "longer" else data[:-4])
    with pytest.raises(Refusal) as refused:
        read_tensors(files)
    assert refused.value.reason is Reason.HASH_MISMATCH


def test_a_missing_file_is_refused_before_anything_is_loaded(folder: Path) -> None:
    manifest = resolve_folder(folder).manifest
    (folder / WEIGHTS).unlink()
    with pytest.raises(Refusal, match=r"model\.safetensors") as refused:
        read_files(folder, manifest=manifest, threads=1, read_ahead_bytes=0)
    assert refused.value.reason is Reason.MISSING_FILE


def test_the_file_that_was_read_is_let_go_tensor_by_tensor(folder: Path) -> None:
    """What a reader of one tensor after the other holds is one tensor, and never the file."""
    files = read(folder, read_ahead_bytes=0)
    with stored.open_weights(files) as weights:
        storages = [tensor.untyped_storage().nbytes() for _, tensor in weights.read(weights.shapes.keys())]
    largest = max(torch.Size(shape).numel() for shape in weights.shapes.values()) * 4
    assert max(storages) == largest
    assert sum(storages) > largest


def test_files_of_a_folder_keep_their_names_and_are_read_when_they_are_asked_for(folder: Path) -> None:
    nested = folder / "outer" / "0_Transformer"
    nested.mkdir(parents=True)
    for path in list(folder.iterdir()):
        if path.is_file():
            path.rename(nested / path.name)
    for name in ("1_Pooling", "2_Normalize"):
        if (folder / name).exists():
            (folder / name).rename(folder / "outer" / name)
    source = folder / "outer" / "0_Transformer"
    entries = {path.name for path in source.iterdir() if path.is_file()}
    from embedding_model.sources.folder import FolderSource
    from embedding_model.sources.manifest import build_manifest

    outer = FolderSource(folder / "outer")
    manifest = build_manifest(outer, paths=[f"0_Transformer/{name}" for name in entries])
    files = read_files(folder / "outer", manifest=manifest, threads=1, read_ahead_bytes=0)

    inside = files_in(files, folder="0_Transformer")

    assert set(inside) == entries
    assert inside[WEIGHTS] == (source / WEIGHTS).read_bytes()
    assert "other" not in inside
