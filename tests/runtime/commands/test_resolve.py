"""`embedding-runtime resolve`: the process of a Job; `convert`: the same conversion for people."""

import asyncio
import hashlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from command_line import run
from free_ports import free_port
from model_folders import write_files
from pickled_models import model_files, noisy_tensors
from safetensors.torch import load_file
from served_process import ServedProcess
from tiny_models import tiny_embedder

from embedding_model.ports import EXIT_REFUSED, JobReport, JobState
from embedding_model.refusal import Reason, Refusal, Unavailable
from embedding_model.resolved import FileEntry, InspectionResult, Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_model.sources.progress import Meter
from embedding_runtime.http.private import Guard
from embedding_runtime.resolve_job import serve_result
from embedding_runtime.resolving import ResolveSettings, resolve_model

CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/")
ORIGIN = CLAIM.to_json().decode()
SECONDS = 60


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token check has tests of its own."""
    monkeypatch.setattr(Guard, "__call__", lambda self, endpoint: endpoint)


@asynccontextmanager
async def job(resolve: Callable[[Meter], InspectionResult]) -> AsyncIterator[Callable[[], Awaitable[JobReport]]]:
    """A running Job; the value asks it for its report, and waits until it listens."""
    port = free_port()
    running = asyncio.create_task(serve_result(resolve, keys=None, host="127.0.0.1", port=port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(SECONDS):

        async def report() -> JobReport:
            while True:
                try:
                    return JobReport.from_json((await client.get("/result")).content)
                except httpx.ConnectError:
                    await asyncio.sleep(0)

        try:
            yield report
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_progress_is_shown_while_files_are_fetched_then_the_result(tmp_path: Path, everybody: None) -> None:
    folder = write_files(tmp_path, tiny_embedder())
    fetched, settings = threading.Event(), ResolveSettings(origin=CLAIM, access=Access(endpoint="x"), folder=folder)

    def resolve(meter: Meter) -> InspectionResult:
        meter.expect([FileEntry(path="model.safetensors", size=100, sha256="0" * 64)])
        meter.add(40)
        fetched.wait(SECONDS)
        return resolve_model(settings, meter=meter)

    async with job(resolve) as ask:
        running = await ask()
        while running.progress is None:
            running = await ask()
        assert running.state is JobState.RUNNING
        assert (running.progress.bytes, running.progress.bytes_done) == (100, 40)
        assert (running.progress.files, running.progress.files_done) == (1, 0)
        fetched.set()
        while (done := await ask()).state is JobState.RUNNING:
            pass
        assert done.result == resolve_model(settings, meter=Meter())
        assert await ask() == done, "it stays readable"


async def test_a_refusal_is_a_result_that_stays_readable(everybody: None) -> None:
    def resolve(meter: Meter) -> InspectionResult:
        raise Refusal(Reason.PICKLE_ONLY, "only a pickle", field="model.conversion")

    async with job(resolve) as ask:
        while (report := await ask()).state is JobState.RUNNING:
            pass
        assert report.state is JobState.REFUSED
        assert report.refusal is not None
        assert report.refusal.reason is Reason.PICKLE_ONLY
        assert await ask() == report


async def test_what_may_heal_ends_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    def resolve(meter: Meter) -> InspectionResult:
        raise Unavailable("the hub is down")

    async with asyncio.timeout(SECONDS):
        assert await serve_result(resolve, keys=None, host="127.0.0.1", port=0) == 1
    assert "the hub is down" in capsys.readouterr().err


async def test_where_the_pod_holds_a_device_a_refusal_ends_the_process_with_a_status_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def resolve(meter: Meter) -> InspectionResult:
        raise Refusal(Reason.UNSUPPORTED_ARCHITECTURE, "nothing loads it")

    async with asyncio.timeout(SECONDS):
        status = await serve_result(resolve, keys=None, host="127.0.0.1", port=0, ends_refused=True)
    assert status == EXIT_REFUSED
    assert "nothing loads it" in capsys.readouterr().err


def test_the_process_serves_until_sigterm_and_only_to_the_operator(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", tiny_embedder())
    with ServedProcess.real(tmp_path / "log", "resolve", "--origin", ORIGIN, "--folder", str(folder)) as process:
        process.wait("/live")
        assert httpx.get(f"{process.private_url}/result").status_code == 403
        process.terminate()
        assert process.exit_status() == 0


def test_sigterm_while_a_volume_is_hashed_ends_the_job_at_once(tmp_path: Path) -> None:
    port = free_port()
    script = (
        "import sys, threading, uvloop\n"
        "from embedding_runtime.resolve_job import serve_result\n"
        "resolve = lambda meter: threading.Event().wait()\n"
        f"sys.exit(uvloop.run(serve_result(resolve, keys=None, host='127.0.0.1', port={port})))\n"
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", script], stderr=log)
    with ServedProcess(process=process, port=0, private_port=port, log=tmp_path / "log") as hashing:
        hashing.wait("/live")
        hashing.terminate()
        assert hashing.exit_status(seconds=30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--origin", "{}"], "--origin is not the JSON document"),
        (["--origin", ORIGIN, "--declared", '{"task": "Chat"}'], "--declared is not the JSON document"),
        (["--origin", ORIGIN], "give --folder"),
    ],
)
def test_wrong_arguments_are_bad_usage(arguments: list[str], said: str) -> None:
    ended = run("resolve", "--host", "127.0.0.1", "--private-port", "0", *arguments)
    assert ended.returncode == 2
    assert said in " ".join(ended.stderr.split())


def test_a_token_file_that_is_missing_ends_the_process_without_asking_anybody(tmp_path: Path) -> None:
    origin = Origin(kind=SourceKind.HUGGING_FACE, repo="acme/x", requested="main").to_json().decode()
    ended = run("resolve", "--origin", origin, "--token-file", str(tmp_path / "HF_TOKEN"))
    assert ended.returncode == 1
    assert "token file" in ended.stderr


def test_convert_prints_both_hashes(tmp_path: Path) -> None:
    source = write_files(tmp_path, model_files(pickle_seed=5)) / "pytorch_model.bin"
    target = tmp_path / "model.safetensors"
    ended = run("convert", str(source), str(target))
    assert ended.returncode == 0, ended.stderr
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, target)]
    assert ended.stdout.splitlines() == [f"{digests[0]}  {source}", f"{digests[1]}  {target}"]
    assert load_file(target).keys() == noisy_tensors(seed=5).keys()

    again = run("convert", str(source), str(target))
    assert again.returncode == 2
    assert "is there already" in again.stderr
