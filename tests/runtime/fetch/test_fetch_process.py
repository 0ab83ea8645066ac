"""The process that fetches: how far it is for those who may ask, and what is left when it dies."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from command_line import run
from free_ports import free_port
from hub_in_process import Hub
from large_file_hub import LargeFileHub, hub_with_large_file
from runtime_under_test import resolved_model

from embedding_model import ports
from embedding_model.ports import Progress
from embedding_model.refusal import Unavailable
from embedding_model.resolved import FileEntry, Manifest, ResolvedModel
from embedding_model.sources.access import Access
from embedding_model.sources.progress import Meter
from embedding_model.sources.reading import hash_in_place
from embedding_runtime.commands.endpoint import read_token
from embedding_runtime.commands.fetch import fetch
from embedding_runtime.commands.prune import prune
from embedding_runtime.fetch_process import ProgressLog, run_fetch
from embedding_runtime.fetching import FetchSettings, fetch_model
from embedding_runtime.http.private import Guard
from localcluster.hub.state import Fault, FaultKind

SECONDS = 60
SIZE = 60_000_000  # bytes: several notes in the journal


@asynccontextmanager
async def fetching(
    work: Callable[[Meter], None], *, keys: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, "asyncio.Task[int]"]]:
    """A running fetch that listens, and a client of its private port."""
    port = free_port()
    task = asyncio.create_task(run_fetch(work, keys=keys, host="127.0.0.1", port=port))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(SECONDS):
        while True:
            try:
                await client.get("/")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0)
        yield client, task


async def test_progress_is_shown_to_the_operator_while_files_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Guard, "__call__", lambda self, endpoint: endpoint)  # the token check has tests of its own
    counted, fetched = threading.Event(), threading.Event()

    def work(meter: Meter) -> None:
        meter.expect([FileEntry(path="model.safetensors", size=100, sha256="0" * 64)])
        meter.add(40)
        counted.set()
        fetched.wait(SECONDS)

    async with fetching(work, keys=tmp_path) as (client, task):
        await asyncio.to_thread(counted.wait, SECONDS)
        answer = await client.get(ports.PROGRESS)
        fetched.set()
        assert await task == 0
    assert Progress.from_json(answer.content) == Progress(files=1, files_done=0, bytes=100, bytes_done=40)


async def test_progress_is_shown_to_nobody_else(tmp_path: Path) -> None:
    fetched = threading.Event()
    async with fetching(lambda meter: bool(fetched.wait(SECONDS)) and None, keys=tmp_path) as (client, task):
        answers = [
            await client.get(ports.PROGRESS, headers=headers) for headers in ({}, {"authorization": "Bearer x.y.z"})
        ]
        fetched.set()
        assert await task == 0
    assert [answer.status_code for answer in answers] == [403, 403]


async def test_what_ends_a_fetch_is_its_status_and_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(meter: Meter) -> None:
        raise Unavailable("the hub is down")

    assert await run_fetch(work, keys=None, host="127.0.0.1", port=0) == 1
    assert "the hub is down" in capsys.readouterr().err


def test_the_log_says_something_every_ten_seconds_or_twentieth(caplog: pytest.LogCaptureFixture) -> None:
    log = ProgressLog()
    moments = [(0.0, 0), (1.0, 40), (2.0, 51), (3.0, 99), (11.9, 99), (12.0, 99), (13.0, 1000)]

    with caplog.at_level(logging.INFO):
        said = []
        for now, received in moments:
            log.look(Progress(files=2, files_done=1, bytes=1000, bytes_done=received), now=now)
            said.append(len(caplog.messages))

    assert said == [0, 0, 1, 1, 1, 2, 3]
    assert caplog.messages[-1] == "fetched 0.0 of 0.0 MB (100 %), 1 of 2 files, 0.0 MB/s"


@pytest.fixture
def large(tmp_path: Path) -> Iterator[LargeFileHub]:
    with hub_with_large_file(tmp_path / "large", size=SIZE) as hub:
        yield hub


def document(hub: LargeFileHub, path: Path) -> Path:
    model = resolved_model().model_copy(update={"origin": hub.origin, "manifest": Manifest(files=hub.entries)})
    path.write_bytes(model.to_json())
    return path


def start(*arguments: str, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "embedding_runtime", "fetch", *arguments], stdout=output, stderr=subprocess.STDOUT
        )


def wait_for(condition: Callable[[], bool], *, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        threading.Event().wait(0.01)


@pytest.mark.parametrize("place", ["--target", "--cache"])
def test_a_process_that_is_killed_is_continued_by_the_next(large: LargeFileHub, tmp_path: Path, place: str) -> None:
    folder, log = tmp_path / "place", tmp_path / "log"
    folder.mkdir()
    arguments = ["--resolved", str(document(large, tmp_path / "model.json")), place, str(folder)]
    arguments += ["--endpoint", large.url, "--connections", "1"]
    large.store.state.add_fault(Fault("*/model.safetensors", FaultKind.SLOW, value=30_000_000))
    process = start(*arguments, log=log)
    try:
        wait_for(lambda: any(journal.stat().st_size for journal in folder.rglob("*.journal")), process=process, log=log)
    finally:
        process.kill()
        process.wait()
    assert not [path for path in folder.rglob("*") if path.name in (large.large.path, large.large.sha256)]
    large.store.state.clear_faults()

    ended = run("fetch", *arguments)

    assert ended.returncode == 0, ended.stderr
    assert f"of {SIZE} bytes" in ended.stderr
    assert "going on after" in ended.stderr
    [found] = [path for path in folder.rglob("*") if path.name in (large.large.path, large.large.sha256)]
    assert hash_in_place(found) == (large.large.size, large.large.sha256)
    assert not list(folder.rglob("*.journal"))


def test_a_process_that_is_told_to_stop_does_so_at_once(large: LargeFileHub, tmp_path: Path) -> None:
    folder, log = tmp_path / "place", tmp_path / "log"
    arguments = ["--resolved", str(document(large, tmp_path / "model.json")), "--target", str(folder)]
    large.store.state.add_fault(Fault("*/model.safetensors", FaultKind.STALL, fraction=0.5))
    process = start(*arguments, "--endpoint", large.url, log=log)
    try:
        wait_for(lambda: bool(list(folder.rglob("*.journal"))), process=process, log=log)
        process.send_signal(signal.SIGTERM)
        status = process.wait(SECONDS / 6)  # half of the time after which a stalled connection is given up
    finally:
        process.kill()
        process.wait()
    assert status == 128 + signal.SIGTERM


def test_three_processes_that_start_at_once_fill_one_cache(
    hub: Hub, resolved: ResolvedModel, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(resolved.to_json())
    arguments = ["--resolved", str(path), "--cache", str(cache), "--endpoint", hub.url]
    logs = [tmp_path / f"log-{number}" for number in range(3)]
    processes = [start(*arguments, log=log) for log in logs]

    statuses = [process.wait(SECONDS) for process in processes]

    assert statuses == [0, 0, 0], [log.read_text() for log in logs]
    blobs = [file.name for file in (cache / "embedding-operator-v1" / "blobs").rglob("*") if file.is_file()]
    assert sorted(blobs) == sorted({entry.sha256 for entry in resolved.manifest.files})
    assert os.listdir(cache / "embedding-operator-v1" / "partial") == []


@pytest.mark.parametrize("places", [(), ("--target", "a", "--cache", "b")])
def test_one_place_is_needed_to_put_the_files(places: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(fetch, ["--resolved", "model.json", *places])
    assert ended.exit_code == 2
    assert "either --target or --cache" in ended.output


def test_a_token_file_that_cannot_be_read_is_named_and_never_quoted(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_bytes(b"hf_secret\xff")
    with pytest.raises(Unavailable) as raised:
        read_token(token)
    assert str(token) in raised.value.message
    assert "secret" not in raised.value.message
    assert raised.value.__suppress_context__


def test_prune_says_what_it_freed(hub: Hub, resolved: ResolvedModel, tmp_path: Path, cache: Path) -> None:
    fetch_model(resolved, settings=FetchSettings(access=Access(endpoint=hub.url), cache=cache), meter=Meter())

    assert CliRunner().invoke(prune, ["--cache", str(cache)]).output == (
        f"freed 0 bytes: 0 files and 0 unfinished downloads; {len(resolved.manifest.files)} files stay\n"
    )
    refused = CliRunner().invoke(prune, ["--cache", str(tmp_path)])
    assert refused.exit_code == 1
    assert "holds no cache" in refused.output
