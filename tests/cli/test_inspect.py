"""`embedding-operator inspect`: answers for folders and repositories, and refusals that say why."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from gguf_files import other_architecture
from model_fixtures.catalogue import CATALOGUE
from model_fixtures.on_disk import write_fixture
from tiny_models import encoder_config, json_file, safetensors_file, tensor_shapes

from embedding_model.resolved import Task
from embedding_operator.api.status import ModelStatus
from localcluster.hub.server import running
from localcluster.hub.state import Gate
from localcluster.hub.store import Store

Invoke = Callable[..., Result]


def test_a_folder_is_explained_with_evidence(invoke: Invoke, model_folder: Path) -> None:
    result = invoke("inspect", str(model_folder))
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["Architecture", "BertModel", "(bert)"] in lines
    assert ["pooling", "Mean", "1_Pooling/config.json", "pooling_mode_mean_tokens"] in lines


def test_json_is_the_object_of_the_status(invoke: Invoke, model_folder: Path) -> None:
    document = json.loads(invoke("inspect", str(model_folder), "-o", "json").stdout)
    expected = {
        "source": str(model_folder),
        "task": "Embedding",
        "architecture": "BertModel",
        "pooling": "Mean",
        "normalize": True,
        "dimensions": 8,
        "maxInputTokens": 16,
        "prompts": [],
        "labels": [],
        "served": True,
    }
    assert {key: document.get(key) for key in expected} == expected
    assert {"task", "pooling", "dimensions"} <= {item["field"] for item in document["evidence"]}


def test_a_fact_has_the_name_and_the_form_that_it_has_in_the_status(invoke: Invoke, model_folder: Path) -> None:
    printed = json.loads(invoke("inspect", str(model_folder), "-o", "json", "--hash").stdout)
    names = {field.alias for field in ModelStatus.model_fields.values()}
    absent = {"requested", "revision", "shortRevision", "endToken", "defaultPrompt", "activation", "licence"}
    of_other_tasks, of_the_spec = {"scoring", "sparse"}, {"instruction", "quantization"}
    assert names - printed.keys() == absent | of_other_tasks | of_the_spec
    status = ModelStatus.model_validate(printed).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert {key: as_status(printed[key]) for key in status} == status


def as_status(value: object) -> object:
    """Without what the status leaves out."""
    if isinstance(value, list):
        return [as_status(item) for item in value]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key != "parameters"}
    return value


def test_a_pooling_overrules_the_files_as_the_spec_does(invoke: Invoke, model_folder: Path) -> None:
    found = json.loads(invoke("inspect", str(model_folder), "--pooling", "Cls", "-o", "json").stdout)
    assert found["pooling"] == "Cls"
    [said] = [item for item in found["evidence"] if item["field"] == "pooling"]
    assert (said["file"], said["key"]) == ("spec", "embedding.pooling")
    assert said["overruled"] == ["Mean (1_Pooling/config.json pooling_mode_mean_tokens)"]


def test_a_pooling_for_a_model_that_has_none_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    folder = write_fixture(CATALOGUE["cross-encoder/ms-marco-MiniLM-L6-v2"], tmp_path / "reranker")
    result = invoke("inspect", str(folder), "--pooling", "Cls", "-o", "json")
    refusal = json.loads(result.stdout)["refusal"]
    assert (result.exit_code, refusal["reason"], refusal["field"]) == (3, "InvalidOverride", "embedding.pooling")


def test_weights_are_hashed_only_when_asked_for(invoke: Invoke, model_folder: Path) -> None:
    quick = json.loads(invoke("inspect", str(model_folder), "-o", "json").stdout)
    hashed = json.loads(invoke("inspect", str(model_folder), "-o", "json", "--hash").stdout)
    assert "manifest" not in quick
    assert hashed["manifest"].startswith("sha256:")
    assert "model.safetensors" in [file["path"] for file in hashed["files"]]
    assert hashed["manifest"] in invoke("inspect", str(model_folder), "--hash").stdout


def test_nothing_is_written(invoke: Invoke, model_folder: Path) -> None:
    def stamps() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in sorted(model_folder.rglob("*"))}

    before = stamps()
    invoke("inspect", str(model_folder), "--hash")
    assert stamps() == before


def test_a_repository_is_resolved_to_its_commit(invoke: Invoke, model_folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    commit = store.push(model_folder, "acme/tiny", branch="dev")
    with running(store) as url:
        result = invoke("inspect", "acme/tiny@dev", "--hub-endpoint", url, "-o", "json")
        missing = invoke("inspect", "acme/missing", "--hub-endpoint", url, "-o", "json")
    document = json.loads(result.stdout)
    assert (document["source"], document["requested"]) == ("acme/tiny", "dev")
    assert (document["revision"], document["shortRevision"]) == (commit, commit[:12])
    assert missing.exit_code == 3
    assert json.loads(missing.stdout)["refusal"]["reason"] == "RepositoryNotFound"


def test_a_gated_repository_is_read_with_the_token_of_the_environment(
    invoke: Invoke, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "hub")
    store.push(model_folder, "acme/tiny")
    store.state.add_token("hf_allowed")
    store.state.set_gate("acme/tiny", Gate(gated=True, allowed=("hf_allowed",)))
    with running(store) as url:
        monkeypatch.delenv("HF_TOKEN", raising=False)
        without = invoke("inspect", "acme/tiny", "--hub-endpoint", url, "-o", "json")
        monkeypatch.setenv("HF_TOKEN", "hf_allowed")
        allowed = invoke("inspect", "acme/tiny", "--hub-endpoint", url, "-o", "json")
    assert (without.exit_code, json.loads(without.stdout)["refusal"]["reason"]) == (3, "AccessDenied")
    assert allowed.exit_code == 0, allowed.output
    assert "hf_allowed" not in allowed.output


def test_a_gguf_repository_is_named_with_its_version_and_the_hash_that_the_hub_lists(
    invoke: Invoke, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    weights = other_architecture(rows=5120)  # large enough for LFS
    (folder / "model.gguf").write_bytes(weights)
    store = Store(tmp_path / "hub")
    store.push(folder, "acme/gguf")
    with running(store) as url:
        result = invoke("inspect", "acme/gguf", "--hub-endpoint", url, "-o", "json")
    refusal = json.loads(result.stdout)["refusal"]
    assert (result.exit_code, refusal["reason"]) == (3, "UnsupportedFormat")
    assert f"GGUF (version 3, 1 tensors, sha256 {hashlib.sha256(weights).hexdigest()})" in refusal["message"]


def test_a_refusal_is_a_document_in_json_and_a_line_in_text(invoke: Invoke, model_folder: Path) -> None:
    (model_folder / "config.json").unlink()
    text, document = invoke("inspect", str(model_folder)), invoke("inspect", str(model_folder), "-o", "json")
    assert (text.exit_code, document.exit_code) == (3, 3)
    assert text.stderr.startswith("MissingFile: ")
    assert text.stdout == ""
    refusal = json.loads(document.stdout)["refusal"]
    assert (refusal["reason"], refusal["field"]) == ("MissingFile", None)
    assert "config.json" in refusal["message"]


def test_what_settles_a_doubt_can_be_given(invoke: Invoke, model_folder: Path) -> None:
    (model_folder / "modules.json").unlink()
    folder = str(model_folder)
    doubt = invoke("inspect", folder, "-o", "json")
    assert json.loads(doubt.stdout)["refusal"]["field"] == "task"
    assert "(spec.task settles it)" in invoke("inspect", folder).stderr
    half = invoke("inspect", folder, "--task", "Embedding", "-o", "json")
    assert json.loads(half.stdout)["refusal"]["field"] == "embedding.pooling"
    whole = invoke("inspect", folder, "--task", "Embedding", "--pooling", "Cls", "-o", "json")
    assert json.loads(whole.stdout)["pooling"] == "Cls"


def test_a_model_that_is_understood_but_not_served_is_noted(
    invoke: Invoke, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_model.served.SERVED", {"bert": frozenset({Task.EMBEDDING})})
    (model_folder / "modules.json").unlink()
    changes = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    (model_folder / "config.json").write_bytes(json_file(encoder_config("bert", **changes)))
    head = {
        "bert.pooler.dense.weight": (8, 8),
        "bert.pooler.dense.bias": (8,),
        "classifier.weight": (1, 8),
        "classifier.bias": (1,),
    }
    (model_folder / "model.safetensors").write_bytes(safetensors_file(tensor_shapes("bert", prefix="bert.") | head))
    text, document = invoke("inspect", str(model_folder)), invoke("inspect", str(model_folder), "-o", "json")
    assert (text.exit_code, document.exit_code) == (0, 0)
    assert "Note: this is a reranker" in text.stdout
    found = json.loads(document.stdout)
    assert (found["task"], found["activation"], found["served"]) == ("Reranking", "Sigmoid", False)


def test_a_hub_that_is_down_is_an_error_without_a_stack(invoke: Invoke) -> None:
    result = invoke("inspect", "acme/tiny", "--hub-endpoint", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "acme/tiny is no folder here" in result.stderr


def test_the_hub_can_be_named_by_the_environment(
    invoke: Invoke, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "hub")
    store.push(model_folder, "acme/tiny")
    with running(store) as url:
        monkeypatch.setenv("EMBEDDING_OPERATOR_HUB_ENDPOINT", url)
        assert invoke("inspect", "acme/tiny").exit_code == 0


def test_inspecting_a_folder_imports_neither_torch_nor_a_cluster(model_folder: Path) -> None:
    script = (
        "import sys; from embedding_operator.__main__ import cli\n"
        f"cli(['inspect', {str(model_folder)!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'kopf', 'kubernetes'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
