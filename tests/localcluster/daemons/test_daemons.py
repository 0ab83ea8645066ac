"""Processes of the cluster: found again by another command, told from strangers, stopped for certain."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import layout
from localcluster.errors import ClusterError
from localcluster.processes import (
    Daemon,
    await_ready,
    run,
    running_pid,
    running_since,
    start,
    start_time,
    stop,
    succeeds,
    terminate,
)
from localcluster.progress import wait_until

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(layout, "PID_FILES", tmp_path / "pids")
    monkeypatch.setattr(layout, "LOGS", tmp_path / "logs")
    yield
    for file in (tmp_path / "pids").glob("*.json"):
        stop(file.stem)


def sleeper(name: str = "sleeper") -> Daemon:
    return Daemon(name, ["sleep", "600"])


def python(code: str) -> Daemon:
    return Daemon("python", [sys.executable, "-c", code])


def test_a_daemon_runs_in_a_session_of_its_own() -> None:
    start(sleeper())
    pid = running_pid("sleeper")
    assert pid
    assert os.getsid(pid) == pid


def test_starting_a_running_daemon_does_nothing() -> None:
    assert start(sleeper())
    pid = running_pid("sleeper")
    assert not start(sleeper())
    assert running_pid("sleeper") == pid


def test_a_killed_daemon_is_known_to_be_gone_and_starts_again() -> None:
    start(sleeper())
    pid = running_pid("sleeper")
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running_pid("sleeper") is None, what="death", deadline_seconds=60)
    assert running_since("sleeper") is None
    assert start(sleeper())
    assert running_pid("sleeper") not in (None, pid)


def test_another_process_with_the_same_id_is_not_taken_for_the_daemon() -> None:
    layout.PID_FILES.mkdir()
    (layout.PID_FILES / "sleeper.json").write_text(f'{{"pid": {os.getpid()}, "started": "1", "since": 1}}')
    assert running_pid("sleeper") is None
    stop("sleeper")
    assert start_time(os.getpid()), "this process was stopped in the daemon's place"


def test_a_stopped_daemon_is_gone() -> None:
    start(sleeper())
    pid = running_pid("sleeper")
    assert pid
    stop("sleeper")
    assert running_pid("sleeper") is None
    assert start_time(pid) is None


def test_a_daemon_that_ignores_the_request_to_end_is_killed() -> None:
    daemon = python(STUBBORN)
    start(daemon)
    await_ready(daemon, ready=lambda: "up" in daemon.log.read_text(), deadline_seconds=20)
    pid = running_pid("python")
    assert pid
    terminate([pid], grace_seconds=0.2)
    assert start_time(pid) is None


def test_a_daemon_that_ends_early_is_reported_with_the_end_of_its_log() -> None:
    daemon = python("print('port is taken'); raise SystemExit(3)")
    start(daemon)
    with pytest.raises(ClusterError, match=r"(?s)python ended before it was ready.*port is taken"):
        await_ready(daemon, ready=lambda: False, deadline_seconds=20)


def test_a_daemon_that_never_gets_ready_is_reported_with_the_end_of_its_log() -> None:
    daemon = python("print('waiting for a disk', flush=True); import signal; signal.pause()")
    start(daemon)
    wait_until(lambda: daemon.log.read_text(), what="first line", deadline_seconds=20)
    with pytest.raises(ClusterError, match=r"(?s)not within 0 s.*waiting for a disk"):
        await_ready(daemon, ready=lambda: False, deadline_seconds=0)


def test_the_log_of_the_run_before_is_kept() -> None:
    for text in ("first", "second"):
        daemon = python(f"print('{text}', flush=True)")
        start(daemon)
        wait_until(lambda: daemon.log.read_text(), what="output", deadline_seconds=20)  # noqa: B023 - called at once
        wait_until(lambda: running_pid("python") is None, what="end", deadline_seconds=20)
    assert daemon.log.read_text() == "second\n"
    assert daemon.log.with_suffix(".log.previous").read_text() == "first\n"


def test_a_daemon_that_ended_before_it_was_noted_does_not_run() -> None:
    layout.PID_FILES.mkdir()
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: start_time(process.pid) is None, what="end of the process", deadline_seconds=60)
        record = {"pid": process.pid, "started": start_time(process.pid), "since": 1}
        (layout.PID_FILES / "early.json").write_text(json.dumps(record))
        assert running_pid("early") is None
    assert running_pid("early") is None
    assert start(sleeper("early"))


def test_a_command_that_starts_a_daemon_ends_without_a_warning(tmp_path: Path) -> None:
    program = f"""if True:
        from pathlib import Path
        from localcluster import layout
        from localcluster.processes import Daemon, start
        layout.PID_FILES, layout.LOGS = Path({str(tmp_path / "pids")!r}), Path({str(tmp_path / "logs")!r})
        start(Daemon("sleeper", ["sleep", "600"]))
    """
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(layout.REPOSITORY / "hack")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert running_pid("sleeper")


def test_a_daemon_works_in_the_root_folder_with_the_environment_it_asks_for() -> None:
    code = "import os, signal; print(os.getcwd(), os.environ['WORD'], flush=True)"
    daemon = Daemon("python", [sys.executable, "-c", code], environment={"WORD": "hello"})
    start(daemon)
    wait_until(lambda: daemon.log.read_text() == "/ hello\n", what="output", deadline_seconds=20)


def test_a_daemon_whose_program_is_missing_is_reported() -> None:
    daemon = Daemon("missing", ["/no/such/program"])
    start(daemon)
    with pytest.raises(ClusterError, match=r"(?s)missing ended before it was ready.*/no/such/program"):
        await_ready(daemon, ready=lambda: False, deadline_seconds=20)


def test_a_command_that_is_not_installed_is_named() -> None:
    with pytest.raises(ClusterError, match="no-such-program is not on this machine"):
        run(["no-such-program", "--version"])
    assert not succeeds(["no-such-program"])


def test_a_zombie_does_not_count_as_running() -> None:
    with subprocess.Popen(["true"]) as process:
        wait_until(lambda: start_time(process.pid) is None, what="end of the process", deadline_seconds=60)
        assert process.returncode is None, "the process was reaped before the test looked"
