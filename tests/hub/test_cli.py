"""The command: a background hub that is started, asked, moved and stopped."""

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from free_ports import free_port
from hub_in_process import Hub
from small_model import write_small_model

from localcluster.hub import cli, daemon
from localcluster.hub.store import Store

Run = Callable[..., int]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def run(state: Path) -> Iterator[Run]:
    yield lambda *arguments: cli.main(["--state", str(state), *(str(argument) for argument in arguments)])
    daemon.stop(state)


def start(run: Run, port: int) -> int:
    return run("start", "--host", "127.0.0.1", "--port", port)


def test_a_started_hub_serves_what_is_pushed_until_it_is_stopped(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    assert start(run, port) == 0
    url = capsys.readouterr().out.strip()
    assert run("push", write_small_model(tmp_path / "model"), "acme/small") == 0
    commit = capsys.readouterr().out.strip()

    assert url == f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/api/models/acme/small", trust_env=False).json()["sha"] == commit
    assert run("url") == 0
    assert capsys.readouterr().out.strip() == url
    assert run("status") == 0
    assert commit in capsys.readouterr().out
    assert run("stop") == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    assert run("status") == 3


def test_starting_twice_keeps_the_running_hub(run: Run, state: Path) -> None:
    port = free_port()
    start(run, port)
    first = daemon.find(state)
    start(run, port)

    assert daemon.find(state) == first


def test_starting_elsewhere_moves_the_hub(run: Run, state: Path) -> None:
    first, second = free_port(), free_port()
    start(run, first)
    start(run, second)

    running = daemon.find(state)
    assert running is not None
    assert running.port == second
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{first}", trust_env=False)


def test_a_hub_with_tls_is_trusted_by_its_authority_alone_and_hands_out_large_files_elsewhere(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, cdn_port = free_port(), free_port()
    assert run("start", "--host", "127.0.0.1", "--port", port, "--tls", "--cdn-port", cdn_port) == 0
    url = capsys.readouterr().out.strip()
    commit = push_small_model(run, tmp_path, capsys)
    assert run("authority") == 0
    trust = ssl.create_default_context(cafile=capsys.readouterr().out.strip())

    assert url == f"https://127.0.0.1:{port}"
    with httpx.Client(base_url=url, trust_env=False, verify=trust) as client:
        assert client.get("/api/models/acme/small").json()["sha"] == commit
        location = client.get(f"/acme/small/resolve/{commit}/model.safetensors").headers["location"]
        assert location.startswith(f"https://127.0.0.1:{cdn_port}/lfs/")
        assert client.get(location).status_code == 200
    with httpx.Client(base_url=url, trust_env=False) as stranger, pytest.raises(httpx.ConnectError):
        stranger.get("/api/models/acme/small")

    assert start(run, port) == 0
    assert capsys.readouterr().out.strip() == f"http://127.0.0.1:{port}"
    assert run("authority") == 1


def push_small_model(run: Run, folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert run("push", write_small_model(folder / "model"), "acme/small", *options) == 0
    return capsys.readouterr().out.strip()


def test_a_repository_is_forced_and_deleted_by_command(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], state: Path
) -> None:
    push_small_model(run, tmp_path, capsys)
    forced = push_small_model(run, tmp_path, capsys, "--force", "--message", "Start anew")
    repository = Store(state).find("acme/small")
    assert repository is not None
    assert repository.resolve("main") == forced
    assert repository.commit(forced).title == "Start anew"

    assert run("delete", "acme/small") == 0
    assert run("delete", "acme/small") == 1
    assert "there is no repository" in capsys.readouterr().err


def test_a_killed_hub_leaves_nothing_that_hinders_the_next(run: Run, state: Path) -> None:
    port = free_port()
    start(run, port)
    killed = daemon.find(state)
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    os.waitpid(killed.pid, 0)

    assert daemon.find(state) is None
    assert start(run, port) == 0


def test_a_taken_port_is_told_with_the_servers_words(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        assert start(run, taken.getsockname()[1]) == 1

    assert "address already in use" in capsys.readouterr().err


def test_a_port_that_another_hub_holds_is_no_success(run: Run, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(run, int(hub.url.rpartition(":")[2])) == 1
    assert "did not come up" in capsys.readouterr().err


def test_faults_gates_and_tokens_set_by_command_reach_the_running_hub(run: Run, tmp_path: Path) -> None:
    port = free_port()
    start(run, port)
    run("push", write_small_model(tmp_path / "model"), "acme/small")
    run("token", "add", "hf_mine")
    run("gate", "acme/small", "--private")
    run("fault", "add", "--path-glob", "*/acme/small", "--kind", "503", "--times", "1")

    url = f"http://127.0.0.1:{port}/api/models/acme/small"
    with httpx.Client(trust_env=False) as client:
        assert client.get(url).status_code == 503
        assert client.get(url).status_code == 401
        assert client.get(url, headers={"Authorization": "Bearer hf_mine"}).status_code == 200
        run("gate", "acme/small", "--open")
        assert client.get(url).status_code == 200
        run("fault", "add", "--path-glob", "*", "--kind", "429")
        run("fault", "clear")
        assert client.get(url).status_code == 200


def test_a_failed_command_says_why(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("push", tmp_path / "nothing", "acme/small") == 1
    assert "is not a folder" in capsys.readouterr().err
    assert run("url") == 1
    assert "not running" in capsys.readouterr().err
