"""`embedding-operator inspect`: answers for folders and repositories, and refusals that say why."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from localcluster.hub.server import running
from localcluster.hub.store import Store

Invoke = Callable[..., Result]


def test_a_folder_is_explained_with_evidence(invoke: Invoke, model_folder: Path) -> None:
    result = invoke("inspect", str(model_folder))
    assert result.exit_code == 0, result.output
    assert "BertModel" in result.stdout
    assert "pooling = Mean  from 1_Pooling/config.json: pooling_mode_mean_tokens" in result.stdout


def test_json_holds_origin_manifest_and_inspection(invoke: Invoke, model_folder: Path) -> None:
    result = invoke("inspect", str(model_folder), "-o", "json")
    document = json.loads(result.stdout)
    assert document["inspection"]["pooling"] == "Mean"
    assert document["manifest"]["digest"].startswith("sha256:")
    assert "model.safetensors" in [file["path"] for file in document["manifest"]["files"]]


def test_a_repository_is_resolved_to_its_commit(invoke: Invoke, model_folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    commit = store.push(model_folder, "acme/tiny", branch="dev")
    with running(store) as url:
        result = invoke("inspect", "acme/tiny@dev", "--hub-endpoint", url, "-o", "json")
        missing = invoke("inspect", "acme/missing", "--hub-endpoint", url)
    assert json.loads(result.stdout)["origin"]["revision"] == commit
    assert missing.exit_code == 1
    assert "RepositoryNotFound" in missing.stderr


def test_a_refusal_is_a_document_in_json_and_a_line_in_text(invoke: Invoke, model_folder: Path) -> None:
    (model_folder / "config.json").unlink()
    text, document = invoke("inspect", str(model_folder)), invoke("inspect", str(model_folder), "-o", "json")
    assert (text.exit_code, document.exit_code) == (1, 1)
    assert text.stderr.startswith("MissingFile: ")
    assert json.loads(document.stdout)["reason"] == "MissingFile"


def test_a_hub_that_is_down_is_an_error_without_a_stack(invoke: Invoke) -> None:
    result = invoke("inspect", "acme/tiny", "--hub-endpoint", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_the_hub_can_be_named_by_the_environment(
    invoke: Invoke, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "hub")
    store.push(model_folder, "acme/tiny")
    with running(store) as url:
        monkeypatch.setenv("EMBEDDING_OPERATOR_HUB_ENDPOINT", url)
        assert invoke("inspect", "acme/tiny").exit_code == 0
