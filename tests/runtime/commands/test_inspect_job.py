"""The Job that inspects a volume, and the commands for people."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from hub_in_process import REPO, Hub, hub_with_small_model
from runtime_under_test import resolved_model
from served_process import ServedProcess, free_port
from tiny_models import tiny_embedder

from embedding_model.ports import JobReport, JobState
from embedding_model.refusal import Reason
from embedding_model.resolved import Inspection, Origin, ResolvedModel, SourceKind
from embedding_model.sources.folder import FolderSource
from embedding_model.sources.manifest import build_manifest
from embedding_model.sources.selection import select
from embedding_runtime.http.private import Guard
from embedding_runtime.inspect_job import inspect_folder, serve_report
from embedding_runtime.served_model import resolve_folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "embedding_runtime", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token check has tests of its own."""
    monkeypatch.setattr(Guard, "__call__", lambda self, endpoint: endpoint)


async def report_of(folder: Path) -> JobReport:
    import asyncio

    port = free_port()
    job = asyncio.create_task(serve_report(folder, keys=None, host="127.0.0.1", port=port))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(30):
            while True:
                try:
                    report = JobReport.from_json((await client.get("/result")).content)
                except httpx.ConnectError:
                    await asyncio.sleep(0)
                    continue
                if report.state is not JobState.RUNNING:
                    return report
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


async def test_the_report_holds_manifest_and_inspection(tmp_path: Path, everybody: None) -> None:
    folder = write(tmp_path, tiny_embedder())
    report = await report_of(folder)
    assert report.state is JobState.DONE
    assert report.result == inspect_folder(folder)
    assert report.result.manifest == resolve_folder(folder).manifest
    assert report.refusal is None


async def test_a_refusal_is_a_result_that_stays_readable(tmp_path: Path, everybody: None) -> None:
    report = await report_of(write(tmp_path, {"config.json": b"{}"}))
    assert report.state is JobState.REFUSED
    assert report.refusal is not None
    assert report.result is None


def test_the_job_serves_until_sigterm_and_only_to_the_operator(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", tiny_embedder())
    with ServedProcess.real(tmp_path / "log", "inspect", str(folder), "--report") as job:
        job.wait("/live")
        assert httpx.get(f"{job.private_url}/result").status_code == 403
        job.terminate()
        assert job.exit_status() == 0


def test_sigterm_while_a_volume_is_hashed_ends_the_job_at_once(tmp_path: Path) -> None:
    port = free_port()
    script = (
        "import sys, threading, uvloop\n"
        "from pathlib import Path\n"
        "from embedding_runtime import inspect_job\n"
        "inspect_job.inspect_folder = lambda folder: threading.Event().wait()\n"
        f"sys.exit(uvloop.run(inspect_job.serve_report(Path('/'), keys=None, host='127.0.0.1', port={port})))\n"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", script], stderr=log)
    with ServedProcess(process=process, port=0, private_port=port, log=tmp_path / "log") as job:
        job.wait("/live")
        job.terminate()
        assert job.exit_status(seconds=30) == 0


def test_inspect_prints_text_for_people_and_json_for_programs(tmp_path: Path) -> None:
    folder = write(tmp_path, tiny_embedder())
    text, document = run("inspect", str(folder)), run("inspect", str(folder), "-o", "json")
    assert "BertModel" in text.stdout
    assert Inspection.from_json(document.stdout).architecture == "BertModel"


def test_inspect_refuses_with_a_reason(tmp_path: Path) -> None:
    ended = run("inspect", str(tmp_path / "nowhere"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: MissingFile")


def test_verify_checks_every_hash(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", tiny_embedder())
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
    folder = write(tmp_path / "model", tiny_embedder())
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
    folder = write(tmp_path / "model", tiny_embedder())
    document = json.loads(resolve_folder(folder).to_json())
    (tmp_path / "model.json").write_text(json.dumps(document | {"novelty": 1}))
    ended = run("verify", "--model", str(folder), "--resolved", str(tmp_path / "model.json"))
    assert ended.returncode == 1
    assert "novelty" in ended.stderr
    assert ResolvedModel.model_validate(document)
