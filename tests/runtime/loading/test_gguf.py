"""A GGUF file gives the vectors of the same numbers in safetensors, alone and in a batch."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_files import write_gguf
from loaded_model import Loaded
from smollm2 import fetch_smollm2_embedder

from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, FileEntry, Pooling, Quantization, Task
from embedding_model.serving import Overrides
from embedding_runtime.architectures.stored_gguf import part_again
from embedding_runtime.files import read_files
from embedding_runtime.gguf_files import show_gguf
from embedding_runtime.settings import Dtype
from localcluster.hub.demo_models import fetch_smollm2

LAST = Declared(task=Task.EMBEDDING, pooling=Pooling.LAST_TOKEN)
TEXTS = ("The weather is lovely today.", "a", "Größe, don't  日本語\n\n x1!", "A walk on the beach. " * 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("smollm2")
    shutil.copy(next(fetch_smollm2().glob("*.gguf")), made / "model.gguf")
    return made


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Loaded:
    return Loaded(folder, declared=LAST)


def test_vectors_and_tokens_equal_those_of_the_same_weights_in_safetensors(loaded: Loaded) -> None:
    reference = Loaded(fetch_smollm2_embedder())
    assert [item.ids for item in loaded.tokens(*TEXTS)] == [item.ids for item in reference.tokens(*TEXTS)]
    found, expected = loaded.encode(TEXTS), reference.encode(TEXTS)
    assert (found * expected).sum(axis=1).min() >= 0.9999


def test_a_text_alone_gets_the_vector_it_has_in_a_batch(loaded: Loaded) -> None:
    together = loaded.encode(TEXTS)
    alone = np.concatenate([loaded.encode([text]) for text in TEXTS])
    assert (together * alone).sum(axis=1).min() >= 0.9999


def test_it_says_what_the_file_holds(loaded: Loaded) -> None:
    assert loaded.backend.path == "transformers LlamaModel (GGUF: 210 Q4_1, 61 F32, 1 Q8_0)"
    manifest = loaded.resolved.manifest
    assert [file.path for file in manifest.files] == ["model.gguf"]


def test_torchao_rounds_what_came_from_gguf(folder: Path, loaded: Loaded) -> None:
    rounded = Loaded(folder, declared=LAST, dtype=Dtype.BFLOAT16, overrides=Overrides(quantization=Quantization.INT8))
    assert rounded.backend.path.endswith("(210 linear layers Int8)")
    assert rounded.resolved.space != loaded.resolved.space
    assert (rounded.encode(TEXTS) * loaded.encode(TEXTS)).sum(axis=1).min() >= 0.98


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_a_small_file_of_each_architecture_is_served_with_its_end_token(tmp_path: Path, architecture: str) -> None:
    write_gguf(tmp_path / "model.gguf", architecture=architecture)
    model = Loaded(tmp_path)
    vectors = model.encode(["hello", "he said 12"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert [item.ids[-1] for item in model.tokens("hello", "")] == [0, 0]


def test_a_file_that_is_not_the_resolved_one_is_refused_before_it_is_served(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    manifest = Loaded(tmp_path).resolved.manifest
    other = bytearray(path.read_bytes())
    other[-5] ^= 1
    path.write_bytes(other)
    for read_ahead in (0, 2**30):
        with pytest.raises(Refusal) as raised:
            show_gguf(read_files(tmp_path, manifest=manifest, threads=1, read_ahead_bytes=read_ahead))
        assert raised.value.reason is Reason.HASH_MISMATCH
    assert isinstance(manifest.files[0], FileEntry)


def test_a_file_too_large_to_be_held_gives_the_same_tensors(tmp_path: Path) -> None:
    from embedding_runtime.architectures.stored import read_tensors

    write_gguf(tmp_path / "model.gguf", architecture="llama")
    manifest = Loaded(tmp_path).resolved.manifest
    waiting = read_tensors(read_files(tmp_path, manifest=manifest, threads=1, read_ahead_bytes=0))
    held = read_tensors(read_files(tmp_path, manifest=manifest, threads=1))
    assert waiting.keys() == held.keys()
    assert all(torch.equal(waiting[name], held[name]) for name in held)


def test_rows_in_pairs_become_two_halves() -> None:
    halves = torch.arange(2 * 8 * 3.0).reshape(16, 3)
    pairs = halves.reshape(2, 2, 4, 3).transpose(1, 2).reshape(16, 3)  # llama.cpp's LlamaModel.permute
    assert torch.equal(part_again(pairs, heads=2), halves)


def test_qwens_words_are_cut_as_transformers_cuts_them(tmp_path: Path) -> None:
    import json

    import tokenizers
    from transformers import Qwen2Tokenizer

    from embedding_model.inspection.gguf_tokenizer import render_tokenizer
    from embedding_model.sources.gguf import read_gguf_header
    from embedding_model.sources.memory import MemorySource

    data = write_gguf(tmp_path / "model.gguf").read_bytes()
    document = render_tokenizer(read_gguf_header(MemorySource({"m.gguf": data}), path="m.gguf"))
    own = tokenizers.Tokenizer.from_str(json.dumps(document))
    theirs = Qwen2Tokenizer(vocab=document["model"]["vocab"], merges=[tuple(m) for m in document["model"]["merges"]])
    for text in (*TEXTS, "I'LL   we've\t\n x1234 (a)\r\n\r\n...é"):
        cut = own.pre_tokenizer.pre_tokenize_str(text)
        assert cut == theirs.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
