"""What a GGUF file says of a model, with the key that said so; what it says in unknown words is refused."""

from pathlib import Path
from typing import Any

import pytest
from gguf_files import HIDDEN, other_architecture, tokens, write_gguf

from embedding_model.inspection import inspect
from embedding_model.inspection.gguf_config import CONFIG_KEYS, SERVED_ARCHITECTURES
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Declared, Evidence, Inspection, Pooling, Task
from embedding_model.sources.memory import MemorySource
from embedding_model.sources.selection import select


def look(
    folder: Path, *, declared: Declared | None = None, beside: dict[str, bytes] | None = None, **options: Any
) -> Inspection:
    data = write_gguf(folder / "model.gguf", **options).read_bytes()
    return inspect(MemorySource({"model.gguf": data, **(beside or {})}), declared=declared)


def refuse(folder: Path, *, declared: Declared | None = None, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        look(folder, declared=declared, **options)
    return raised.value


def evidence(inspection: Inspection, field: str) -> Evidence:
    return next(item for item in inspection.evidence if item.field == field)


@pytest.mark.parametrize(("number", "pooling"), [(1, Pooling.MEAN), (2, Pooling.CLS), (3, Pooling.LAST_TOKEN)])
def test_a_pooling_in_the_file_makes_it_an_embedder(tmp_path: Path, number: int, pooling: Pooling) -> None:
    found = look(tmp_path, pooling=number)
    assert (found.task, found.pooling, found.normalize) == (Task.EMBEDDING, pooling, True)
    assert (evidence(found, "pooling").file, evidence(found, "pooling").key) == ("model.gguf", "qwen2.pooling_type")
    assert evidence(found, "task").key == "qwen2.pooling_type"


@pytest.mark.parametrize("architecture", SERVED_ARCHITECTURES)
def test_family_sizes_and_length_come_from_the_header(tmp_path: Path, architecture: str) -> None:
    found = look(tmp_path, architecture=architecture)
    assert (found.family, found.dimensions, found.max_input_tokens) == (architecture, HIDDEN, 64)
    assert evidence(found, "architecture").key == "general.architecture"
    assert evidence(found, "dimensions").key == "token_embd.weight"
    assert found.weights.format == "gguf"
    assert "F32" in (evidence(found, "weights").note or "")


def test_the_end_token_is_the_one_that_the_file_puts_behind_a_text(tmp_path: Path) -> None:
    with_end, without = look(tmp_path), look(tmp_path, add_eos=None)
    assert (with_end.end_token, without.end_token) == (tokens()[0], None)
    assert evidence(with_end, "endToken").key == "tokenizer.ggml.add_eos_token"


def test_a_file_without_a_pooling_is_served_only_as_the_spec_says(tmp_path: Path) -> None:
    assert refuse(tmp_path, pooling=None).reason is Reason.NOT_AN_EMBEDDING_MODEL
    declared = Declared(task=Task.EMBEDDING, pooling=Pooling.MEAN)
    assert look(tmp_path, pooling=None, declared=declared).pooling is Pooling.MEAN
    only_task = refuse(tmp_path, pooling=None, declared=Declared(task=Task.EMBEDDING))
    assert (only_task.reason, only_task.field) == (Reason.AMBIGUOUS_TASK, "embedding.pooling")


def test_rerankers_are_not_served_from_gguf(tmp_path: Path) -> None:
    assert refuse(tmp_path, pooling=4).reason is Reason.UNSUPPORTED_FORMAT
    assert refuse(tmp_path, declared=Declared(task=Task.RERANKING)).reason is Reason.TASK_MISMATCH
    card = {"README.md": b"---\npipeline_tag: text-ranking\n---\n"}
    assert refuse(tmp_path, pooling=None, beside=card).reason is Reason.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"rope.scaling.type": "yarn"}, "rope.scaling.type"),
        ({"attention.sliding_window": 512}, "attention.sliding_window"),
        ({"expert_count": 8}, "expert_count"),
        ({"rope.dimension_count": 4}, "rope.dimension_count"),
    ],
)
def test_a_key_that_would_change_the_vectors_is_refused(tmp_path: Path, more: dict[str, Any], names: str) -> None:
    refusal = refuse(tmp_path, more=more)
    assert refusal.reason is Reason.UNSUPPORTED_ARCHITECTURE
    assert names in refusal.message


def test_tensors_that_are_not_known_or_missing_are_refused(tmp_path: Path) -> None:
    frequencies = refuse(tmp_path, architecture="llama", further=["rope_freqs.weight"])
    assert frequencies.reason is Reason.UNSUPPORTED_ARCHITECTURE
    assert "rope_freqs" in frequencies.message
    assert refuse(tmp_path, leave_out=["blk.1.attn_k.weight"]).reason is Reason.INCOMPLETE_WEIGHTS


def test_a_tokenizer_with_unknown_rules_is_refused(tmp_path: Path) -> None:
    for options in ({"pre": "tekken"}, {"model": "llama"}):
        assert refuse(tmp_path, **options).reason is Reason.UNSUPPORTED_FORMAT


def test_other_architectures_are_named_with_version_and_hash() -> None:
    source = MemorySource({"model.gguf": other_architecture("bert")})
    with pytest.raises(Refusal, match="recognised as GGUF") as raised:
        inspect(source)
    assert raised.value.reason is Reason.UNSUPPORTED_FORMAT
    assert source.hash("model.gguf").sha256 in raised.value.message


def test_the_file_alone_is_loaded_whatever_lies_beside_it(tmp_path: Path) -> None:
    beside = {"config.json": b"{}", "tokenizer.json": b"{}", "README.md": b""}
    data = write_gguf(tmp_path / "model.gguf").read_bytes()
    assert select(MemorySource({"model.gguf": data, **beside})) == ("model.gguf",)
    assert look(tmp_path, beside=beside).pooling is Pooling.LAST_TOKEN


@pytest.mark.parametrize("architecture", SERVED_ARCHITECTURES)
def test_keys_mean_what_they_mean_to_transformers(architecture: str) -> None:
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    theirs = GGUF_CONFIG_MAPPING[architecture]
    shared = [key for key in CONFIG_KEYS if theirs.get(key) is not None]
    assert len(shared) >= 8
    assert {key: CONFIG_KEYS[key] for key in shared} == {key: theirs[key] for key in shared}
