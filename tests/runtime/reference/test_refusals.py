"""What the libraries cannot load is a refusal that says what to do, never an approximation."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import seeded_models
from gguf_files import write_gguf
from reference_under_test import Resolved, assert_passed, compute, failed_names, resolve
from safetensors.numpy import load_file, save_file
from seeded_models.jina_bert import build_jina_bert

from embedding_model.cache.layout import CacheLayout
from embedding_model.refusal import Reason, Refusal
from embedding_model.resolved import Evidence
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_runtime.reference.compute import ReferenceSettings, compute_reference
from embedding_runtime.reference.libraries import FIELD, pick_device, require_complete
from embedding_runtime.settings import Device


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    return resolve(seeded_models.build(tmp_path_factory.mktemp("bert") / "model", family="bert", max_length=24))


def refusal_of(resolved: Resolved) -> Refusal:
    with pytest.raises(Refusal) as refused:
        compute(resolved)
    return refused.value


def assert_says_what_to_do(refusal: Refusal, *, reason: Reason) -> None:
    assert refusal.reason is reason
    assert refusal.field == FIELD
    assert "verification.reference" in refusal.message
    assert "golden cases of your own" in refusal.message


def test_a_family_that_transformers_has_no_class_for(tmp_path: Path) -> None:
    """transformers would load config.json's BertModel, with positions made up."""
    refusal = refusal_of(resolve(build_jina_bert(tmp_path / "model", layout="gated")))
    assert_says_what_to_do(refusal, reason=Reason.UNSUPPORTED_ARCHITECTURE)
    assert "jina_bert" in refusal.message


def test_gguf(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_gguf(tmp_path / "model" / "tiny.gguf")
    refusal = refusal_of(resolve(tmp_path / "model"))
    assert_says_what_to_do(refusal, reason=Reason.UNSUPPORTED_FORMAT)


def test_code_of_the_repository_is_never_run(right: Resolved, tmp_path: Path) -> None:
    """Inspection refuses such models long before; the libraries would ask for the code here."""
    changed = change_config(right, tmp_path, model_type="theirs", auto_map={"AutoConfig": "theirs.Config"})
    assert_says_what_to_do(refusal_of(changed), reason=Reason.REMOTE_CODE_REQUIRED)


def test_what_the_library_fails_to_load(right: Resolved, tmp_path: Path) -> None:
    changed = change_config(right, tmp_path, model_type="theirs")
    assert_says_what_to_do(refusal_of(changed), reason=Reason.UNSUPPORTED_ARCHITECTURE)


def test_weights_that_leave_a_layer_random(right: Resolved, tmp_path: Path) -> None:
    def lose_a_layer(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = {name: tensor for name, tensor in load_file(path).items() if "encoder.layer.1." not in name}
        save_file(tensors, path, metadata={"format": "pt"})

    refusal = refusal_of(change(right, tmp_path, by=lose_a_layer))
    assert_says_what_to_do(refusal, reason=Reason.INCOMPLETE_WEIGHTS)
    assert "encoder.layer.1." in refusal.message


def test_weights_that_give_nan(right: Resolved, tmp_path: Path) -> None:
    def break_a_norm(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        tensors["embeddings.LayerNorm.weight"][0] = float("nan")
        save_file(tensors, path, metadata={"format": "pt"})

    assert_says_what_to_do(refusal_of(change(right, tmp_path, by=break_a_norm)), reason=Reason.INVALID_FILE)


def test_a_pooler_that_is_made_up_is_no_matter() -> None:
    require_complete({"missing_keys": ["pooler.dense.weight"]}, unused=("pooler.",))
    with pytest.raises(Refusal, match="2 tensors"):
        require_complete({"missing_keys": {"pooler.dense.weight"}, "mismatched_keys": {("classifier.bias", 1, 2)}})


def test_files_that_are_not_those_of_the_manifest(right: Resolved, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(right.folder, folder)
    (folder / "tokenizer.json").write_text("{}")
    changed = Resolved(folder=folder, model=right.model, path=right.path)
    assert refusal_of(changed).reason is Reason.HASH_MISMATCH
    (folder / "tokenizer.json").unlink()
    assert refusal_of(changed).reason is Reason.MISSING_FILE


def test_what_else_lies_in_the_folder_is_not_seen(right: Resolved, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(right.folder, folder)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "other/model"}))
    assert compute(Resolved(folder=folder, model=right.model, path=right.path)) == compute(right)


def test_a_cache_gives_the_same_set(right: Resolved, tmp_path: Path) -> None:
    layout = CacheLayout(tmp_path)
    layout.prepare()
    for entry in right.model.manifest.files:
        layout.make_folder(layout.blob(entry.sha256).parent)
        shutil.copy(right.folder / entry.path, layout.blob(entry.sha256))
    cached = ReferenceSettings(resolved=right.model, cache=tmp_path, device=Device.CPU)
    assert compute_reference(cached) == compute(right)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device(Device.AUTO).type == "cpu"
    with pytest.raises(Refusal, match="finds none") as refused:
        pick_device(Device.CUDA)
    assert refused.value.reason is Reason.DEVICE_UNAVAILABLE


def test_a_length_that_is_more_than_the_library_reads(right: Resolved) -> None:
    """Of a model that reads more than 1024 tokens no text is as long as what the library's files say."""
    refusal = refusal_of(misread(right, max_input_tokens=2048))
    assert_says_what_to_do(refusal, reason=Reason.CONTRADICTORY_EVIDENCE)
    assert "reads at most 24 tokens of an input, by the model's files, and 2048 are served" in refusal.message
    assert "Set embedding.maxInputTokens to the one that is right" in refusal.message


def test_a_length_that_is_less_than_the_library_reads_fails_cases(right: Resolved) -> None:
    wrong = misread(right, max_input_tokens=12)
    assert failed_names(wrong, compute(wrong))


def test_a_length_that_the_spec_gives_is_the_librarys_too(right: Resolved) -> None:
    said = Evidence(field="maxInputTokens", value="12", file="spec", key="embedding.maxInputTokens")
    assert_passed(right, compute(right))
    assert failed_names(right, compute(misread(right, max_input_tokens=12, evidence=(said,))))


def misread(right: Resolved, *, max_input_tokens: int, evidence: tuple[Evidence, ...] = ()) -> Resolved:
    """As if inspection had found another length."""
    changed = {"max_input_tokens": max_input_tokens}
    inspection = right.model.inspection.model_copy(update={**changed, "evidence": evidence})
    serving = right.model.serving.model_copy(update=changed)
    model = right.model.model_copy(update={"inspection": inspection, "serving": serving})
    path = right.path.with_name(f"read-as-{max_input_tokens}.json")
    path.write_bytes(model.to_json())
    return replace(right, model=model, path=path)


def change_config(right: Resolved, tmp_path: Path, **values: object) -> Resolved:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change(right, tmp_path, by=edit)


def change(right: Resolved, tmp_path: Path, *, by: Callable[[Path], None]) -> Resolved:
    """Other files behind the same inspection, with a manifest that is right for them."""
    folder = tmp_path / "model"
    shutil.copytree(right.folder, folder)
    by(folder)
    source = FolderSource(folder, origin=right.model.origin)
    manifest = build_manifest(source, paths=[entry.path for entry in right.model.manifest.files])
    return Resolved(folder=folder, model=right.model.model_copy(update={"manifest": manifest}), path=right.path)
