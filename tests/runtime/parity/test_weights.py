"""Weights are loaded completely and exactly, or not at all."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import ENCODERS, encoder_config, safetensors_file, tensor_shapes, tiny_embedder

from embedding_model.inspection.documents import JsonObject
from embedding_model.inspection.families import FAMILIES
from embedding_model.inspection.families.heads import Head
from embedding_model.inspection.families.settings import Settings
from embedding_model.inspection.tensors import DTYPES
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import ResolvedModel
from embedding_runtime.architectures.models import Model, load_model
from embedding_runtime.architectures.weights import read_tensors
from embedding_runtime.backends.torch_backend import pick_device
from embedding_runtime.core.jobs import Tokens
from embedding_runtime.files import Files, read_files
from embedding_runtime.served_model import resolve_folder
from embedding_runtime.settings import Device


@pytest.fixture
def small(tmp_path: Path, minilm_folder: Path) -> Path:
    """MiniLM cut to one layer, 1000 words and 64 positions."""
    tensors = load_file(minilm_folder / "model.safetensors")
    kept = {name: tensor.clone() for name, tensor in tensors.items() if ".layer." not in name or ".layer.0." in name}
    kept["embeddings.word_embeddings.weight"] = kept["embeddings.word_embeddings.weight"][:1000].clone()
    kept["embeddings.position_embeddings.weight"] = kept["embeddings.position_embeddings.weight"][:64].clone()
    kept.pop("embeddings.position_ids", None)
    config = json.loads((minilm_folder / "config.json").read_text())
    config |= {"num_hidden_layers": 1, "vocab_size": 1000, "max_position_embeddings": 64}
    for path in minilm_folder.rglob("*.json"):
        target = tmp_path / path.relative_to(minilm_folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


def vector(model: Model, tokens: Tokens) -> np.ndarray:
    [output] = model.compute([tokens])
    assert output.dense is not None
    return output.dense


def load(resolved: ResolvedModel, files: Files, *, dtype: torch.dtype = torch.float32) -> Model:
    return load_model(
        files, inspection=resolved.inspection, serving=resolved.serving, device=torch.device("cpu"), dtype=dtype
    )


def rewritten(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Files:
    """The folder's files with other weights, as if inspection had not looked."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "changed.safetensors")
    files = dict(read_files(folder, manifest=resolve_folder(folder).manifest, threads=1))
    files["model.safetensors"] = bytearray((folder / "changed.safetensors").read_bytes())
    return files


def refusal(resolved: ResolvedModel, files: Files) -> Refusal:
    with pytest.raises(Refusal) as refused:
        load(resolved, files)
    return refused.value


QUERY = "encoder.layer.0.attention.self.query.weight"


def test_a_missing_tensor_is_refused_by_name(small: Path) -> None:
    resolved = resolve_folder(small)
    refused = refusal(resolved, rewritten(small, lambda tensors: tensors.pop(QUERY)))
    assert refused.reason is Reason.INCOMPLETE_WEIGHTS
    assert QUERY in refused.message


def test_a_tensor_too_many_is_refused_by_name(small: Path) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["encoder.layer.0.attention.self.query.lora"] = torch.zeros(3)

    refused = refusal(resolve_folder(small), rewritten(small, add))
    assert refused.reason is Reason.UNEXPECTED_WEIGHTS
    assert "query.lora" in refused.message


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(small: Path) -> None:
    def cut(tensors: dict[str, torch.Tensor]) -> None:
        tensors[QUERY] = tensors[QUERY][:10].clone()

    refused = refusal(resolve_folder(small), rewritten(small, cut))
    assert refused.reason is Reason.INVALID_FILE
    assert "[384, 384]" in refused.message
    assert "[10, 384]" in refused.message


def test_a_checkpoint_with_a_prefix_and_a_head_gives_the_same_encoder(small: Path) -> None:
    def prefix(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[f"bert.{name}"] = tensors.pop(name)
        tensors["cls.predictions.bias"] = torch.zeros(1000)

    resolved = resolve_folder(small)
    plain = load(resolved, read_files(small, manifest=resolved.manifest, threads=1))
    prefixed = load(resolved, rewritten(small, prefix))

    tokens = Tokens(ids=[101, 5, 6, 102])
    np.testing.assert_array_equal(vector(plain, tokens), vector(prefixed, tokens))


def test_tensorflows_names_for_layer_norm_are_understood(small: Path) -> None:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            if "LayerNorm." in name:
                renamed = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                    "LayerNorm.bias", "LayerNorm.beta"
                )
                tensors[renamed] = tensors.pop(name)

    load(resolve_folder(small), rewritten(small, rename))


def test_tensors_are_those_that_the_safetensors_library_reads(small: Path) -> None:
    mixed = {
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "ids": torch.arange(4),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
    }
    save_file(mixed, small / "mixed.safetensors")
    found = read_tensors({"model.safetensors": bytearray((small / "mixed.safetensors").read_bytes())})
    assert found.keys() == mixed.keys()
    for name, tensor in mixed.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_sharded_weights_are_read_whole(small: Path) -> None:
    tensors = load_file(small / "model.safetensors")
    names = sorted(tensors)
    files: dict[str, bytearray] = {}
    shards = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for shard, held in shards.items():
        save_file({name: tensors[name] for name in held}, small / shard)
        files[shard] = bytearray((small / shard).read_bytes())
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    files["model.safetensors.index.json"] = bytearray(json.dumps({"weight_map": weight_map}).encode())
    assert read_tensors(files).keys() == tensors.keys()


def safetensors(header: bytes, *, length: int | None = None) -> bytearray:
    return bytearray((len(header) if length is None else length).to_bytes(8, "little") + header)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(bytearray(), id="empty"),
        pytest.param(safetensors(b"{}", length=2**60), id="a header longer than the file"),
        pytest.param(safetensors(b"[]"), id="a header that is a list"),
        pytest.param(safetensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'), id="a negative offset"),
        pytest.param(safetensors(b'{"a":3}'), id="an entry that is a number"),
    ],
)
def test_a_malformed_file_is_refused(data: bytearray) -> None:
    with pytest.raises(Refusal) as refused:
        read_tensors({"model.safetensors": data})
    assert refused.value.reason is Reason.INVALID_FILE


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', Reason.INCOMPLETE_WEIGHTS),
        (b'{"a":{"dtype":"F99","shape":[0],"data_offsets":[0,0]}}', Reason.UNSUPPORTED_FORMAT),
    ],
    ids=["no data", "an unknown type"],
)
def test_a_file_that_does_not_hold_what_it_says_is_refused_as_inspection_does(header: bytes, reason: Reason) -> None:
    with pytest.raises(Refusal) as refused:
        read_tensors({"model.safetensors": safetensors(header)})
    assert refused.value.reason is reason


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_that_inspection_lets_pass_is_read(dtype: str) -> None:
    data = safetensors_file({"buffer": (3, 2)}, dtype=dtype)
    assert read_tensors({"model.safetensors": bytearray(data)})["buffer"].shape == (3, 2)


@pytest.mark.parametrize("family", ENCODERS)
def test_whatever_inspection_lets_pass_beside_the_weights_is_loaded(family: str, tmp_path: Path) -> None:
    known, prefix = FAMILIES[family], FAMILIES[family].prefixes[0]
    described = known.describe(Settings(JsonObject("config.json", encoder_config(family))))
    beside = {f"{name}weight": (3,) for name in known.leftovers}
    for name, shape in described.heads[Head.MASKED_LANGUAGE_MODEL].tensors.items():
        beside[name] = tuple(size.value for size in shape)
    for name, shape in (item for group in described.optional for item in group.items()):
        beside[f"{prefix}.{name}"] = tuple(size.value for size in shape)
    beside[f"{prefix}.embeddings.position_ids"] = (1, 40)
    shapes = tensor_shapes(family, prefix=f"{prefix}.") | beside
    weights = safetensors_file(shapes, **{f"{prefix}__embeddings__position_ids": "U16"})
    for path, data in tiny_embedder(family, **{"model.safetensors": weights}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    resolved = resolve_folder(tmp_path)

    load(resolved, read_files(tmp_path, manifest=resolved.manifest, threads=1))


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"weight_map": 3}'])
def test_a_malformed_index_is_refused(index: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read_tensors({"model.safetensors.index.json": bytearray(index)})
    assert refused.value.reason is Reason.INVALID_FILE


def test_a_shard_that_is_not_there_is_refused_by_name() -> None:
    index = bytearray(b'{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(Refusal, match="model-00001-of-00002") as refused:
        read_tensors({"model.safetensors.index.json": index})
    assert refused.value.reason is Reason.MISSING_FILE


def test_one_flipped_byte_is_refused_with_file_and_both_hashes(small: Path) -> None:
    manifest = resolve_folder(small).manifest
    expected = manifest.entry("model.safetensors")
    assert expected is not None
    path = small / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)

    with pytest.raises(Refusal) as refused:
        read_files(small, manifest=manifest, threads=2)

    assert refused.value.reason is Reason.HASH_MISMATCH
    assert "model.safetensors" in refused.value.message
    assert expected.sha256 in refused.value.message
    assert hashlib.sha256(data).hexdigest() in refused.value.message


@pytest.mark.parametrize("change", [b"more", None], ids=["longer", "shorter"])
def test_a_file_of_another_size_is_refused(small: Path, change: bytes | None) -> None:
    manifest = resolve_folder(small).manifest
    path = small / "config.json"
    path.write_bytes(path.read_bytes() + change if change else path.read_bytes()[:-1])
    with pytest.raises(Refusal) as refused:
        read_files(small, manifest=manifest, threads=1)
    assert refused.value.reason is Reason.HASH_MISMATCH


def test_a_missing_file_is_refused_by_name(small: Path) -> None:
    manifest = resolve_folder(small).manifest
    (small / "tokenizer.json").unlink()
    with pytest.raises(Refusal, match=r"tokenizer\.json") as refused:
        read_files(small, manifest=manifest, threads=1)
    assert refused.value.reason is Reason.MISSING_FILE


def test_a_device_that_is_not_there_is_refused_and_not_replaced_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Refusal) as refused:
        pick_device(Device.CUDA)
    assert refused.value.reason is Reason.DEVICE_UNAVAILABLE
    assert pick_device(Device.AUTO).type == "cpu"
