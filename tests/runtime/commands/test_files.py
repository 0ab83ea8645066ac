"""Commands that look at files, and fetch them."""

import json
from pathlib import Path

from command_line import run
from hub_in_process import REPO, Hub, hub_with_small_model
from model_folders import write_files
from runtime_under_test import resolved_model
from tiny_models import tiny_embedder

from embedding_model.refusal import Reason
from embedding_model.resolved import Inspection, Origin, ResolvedModel, SourceKind
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_runtime.served_model import resolve_folder


def test_inspect_prints_text_for_people_and_json_for_programs(tmp_path: Path) -> None:
    folder = write_files(tmp_path, tiny_embedder())
    text, document = run("inspect", str(folder)), run("inspect", str(folder), "-o", "json")
    assert "BertModel" in text.stdout
    assert Inspection.from_json(document.stdout).architecture == "BertModel"


def test_inspect_refuses_with_a_reason(tmp_path: Path) -> None:
    ended = run("inspect", str(tmp_path / "nowhere"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: MissingFile")


def test_verify_checks_every_hash(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", tiny_embedder())
    resolved = tmp_path / "model.json"
    resolved.write_bytes(resolve_folder(folder).to_json())
    assert run("verify", "--model", str(folder), "--resolved", str(resolved)).returncode == 0

    (folder / "tokenizer.json").write_bytes(b"[]")

    ended = run("verify", "--model", str(folder), "--resolved", str(resolved))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {Reason.HASH_MISMATCH}: tokenizer.json")


def test_verify_without_anything_to_check_is_bad_usage(tmp_path: Path) -> None:
    assert run("verify").returncode == 2


def test_fetch_wants_a_model_from_a_hub(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", tiny_embedder())
    resolved = tmp_path / "model.json"
    resolved.write_bytes(resolve_folder(folder).to_json())
    ended = run("fetch", "--resolved", str(resolved), "--target", str(tmp_path / "target"))
    assert ended.returncode == 2


def resolve_on(hub: Hub, path: Path) -> ResolvedModel:
    """The pushed files at the hub's commit. Their weights are noise: what they say they are does not matter here."""
    source = FolderSource(hub.folder)
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main", revision=hub.commit)
    manifest = build_manifest(source, paths=select(source))
    model = resolved_model().model_copy(update={"origin": origin, "manifest": manifest})
    path.write_bytes(model.to_json())
    return model


def test_fetch_fills_a_folder_that_verify_accepts(tmp_path: Path) -> None:
    with hub_with_small_model(tmp_path) as hub:
        resolved, target = tmp_path / "model.json", tmp_path / "target"
        model = resolve_on(hub, resolved)
        ended = run("fetch", "--resolved", str(resolved), "--target", str(target), "--endpoint", hub.url)
    assert ended.returncode == 0, ended.stderr
    assert all((target / file.path).stat().st_size == file.size for file in model.manifest.files)
    assert run("verify", "--model", str(target), "--resolved", str(resolved)).returncode == 0


def test_fetch_refuses_other_bytes_than_were_resolved_and_leaves_none(tmp_path: Path) -> None:
    with hub_with_small_model(tmp_path) as hub:
        resolved, target = tmp_path / "model.json", tmp_path / "target"
        model = resolve_on(hub, resolved)
        other = model.model_copy(update={"origin": model.origin.model_copy(update={"revision": hub.push(seed=9)})})
        resolved.write_bytes(other.to_json())
        ended = run("fetch", "--resolved", str(resolved), "--target", str(target), "--endpoint", hub.url)
    assert ended.returncode == 1
    assert "error: HashMismatch" in ended.stderr
    assert not list(target.glob("*.safetensors"))


def test_a_resolved_model_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", tiny_embedder())
    document = json.loads(resolve_folder(folder).to_json())
    (tmp_path / "model.json").write_text(json.dumps(document | {"novelty": 1}))
    ended = run("verify", "--model", str(folder), "--resolved", str(tmp_path / "model.json"))
    assert ended.returncode == 1
    assert "novelty" in ended.stderr
    assert ResolvedModel.model_validate(document)
