"""The hub as a background process: start, stop, and what is running now."""

import importlib.util
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

CLUSTER_ADDRESS = "198.18.0.1"  # the local cluster's own address: pods and the host both reach it
DEFAULT_PORT = 8470
_START_DEADLINE = 20.0  # seconds; importing the server takes about one
_STOP_DEADLINE = 10.0


class DaemonFailed(Exception):
    """The hub could not be started or stopped; the message says why."""


@dataclass(frozen=True)
class Running:
    pid: int
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def default_host() -> str:
    """The cluster's address when this machine has it, else loopback."""
    with socket.socket() as probe:
        try:
            probe.bind((CLUSTER_ADDRESS, 0))
        except OSError:
            return "127.0.0.1"
    return CLUSTER_ADDRESS


def find(state: Path) -> Running | None:
    """The running hub of this state folder; a pid file left by a dead process is no hub."""
    try:
        running = Running(**json.loads(_pid_file(state).read_text()))
        command = Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, TypeError):
        return None
    return running if b"localcluster.hub.cli" in command and str(state).encode() in command else None


def start(state: Path, *, host: str, port: int) -> Running:
    """Serve in the background; a hub that already serves there is left alone, one that serves elsewhere is moved."""
    present = find(state)
    if present is not None and (present.host, present.port) == (host, port) and _answers(present):
        return present
    if present is not None:
        stop(state)
    state.mkdir(parents=True, exist_ok=True)
    log = state / "hub.log"
    command = [
        _interpreter(),
        "-m",
        "localcluster.hub.cli",
        "--state",
        str(state),
        "serve",
        "--host",
        host,
        "--port",
        str(port),
    ]
    running = Running(pid=_spawn(command, log=log), host=host, port=port)
    _pid_file(state).write_text(json.dumps(asdict(running)))
    _wait_until_up(running, log=log)
    return running


def stop(state: Path) -> bool:
    """End the hub of this state folder; False when none runs."""
    running = find(state)
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_DEADLINE
        while find(state) is not None:
            _reap(running.pid)
            if time.monotonic() > deadline:
                os.kill(running.pid, signal.SIGKILL)
                deadline += _STOP_DEADLINE
            time.sleep(0.05)
    _pid_file(state).unlink(missing_ok=True)
    return running is not None


def _spawn(command: list[str], *, log: Path) -> int:
    """Start a process that outlives this one, in a session of its own."""
    package_root = str(Path(__file__).resolve().parents[2])
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environment = {**os.environ, "PYTHONPATH": package_root}
    return os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)


def _wait_until_up(running: Running, *, log: Path) -> None:
    deadline = time.monotonic() + _START_DEADLINE
    while not _answers(running):
        ended = _reap(running.pid)
        if ended or time.monotonic() > deadline:
            if not ended:
                os.kill(running.pid, signal.SIGKILL)
                os.waitpid(running.pid, 0)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise DaemonFailed(f"the hub did not come up on {running.url}; the end of {log}:\n{tail}")
        time.sleep(0.05)


def _answers(running: Running) -> bool:
    """Whether this very process answers, and not another server that took the port."""
    # the environment's proxy must not stand between this machine and itself
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{running.url}/-/health", timeout=2) as response:
            return bool(response.read(32) == str(running.pid).encode())
    except OSError:
        return False


def _interpreter() -> str:
    """A Python that has the server's libraries: this one, or the development environment's."""
    if importlib.util.find_spec("uvicorn") and importlib.util.find_spec("starlette"):
        return sys.executable
    python = Path(__file__).resolve().parents[3] / ".venv" / "bin" / "python"
    if python.exists():
        return str(python)
    raise DaemonFailed("the hub needs starlette and uvicorn; make the development environment first: make .venv")


def _reap(pid: int) -> bool:
    """Whether a child has ended: a hub started by this very process stays a zombie until it is waited for."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _pid_file(state: Path) -> Path:
    return state / "hub.pid"
