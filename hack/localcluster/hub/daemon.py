"""The hub as a background process: start, stop, and what is running now."""

import importlib.util
import json
import ssl
import sys
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from localcluster import layout, network
from localcluster.errors import ClusterError, TookTooLong
from localcluster.processes import spawn, start_time, tail, terminate
from localcluster.progress import wait_until

_START_SECONDS = 60.0  # importing the server takes about one


@dataclass(frozen=True)
class Running:
    """`cdn_port`, when given, is where large files are handed out."""

    pid: int
    host: str
    port: int
    tls: bool = False
    cdn_port: int | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


def authority_file(state: Path) -> Path:
    """PEM of the authority that a hub with TLS is trusted by."""
    return state / "tls" / "authority.pem"


def default_host() -> str:
    """The cluster's address, which pods and the host both reach, when this machine has it; else loopback."""
    return layout.ADDRESS if network.has_address() else "127.0.0.1"


def find(state: Path) -> Running | None:
    """The running hub of this state folder; a pid file left by a dead process is no hub."""
    try:
        running = Running(**json.loads(_pid_file(state).read_text()))
        command = Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, TypeError):
        return None
    return running if b"localcluster.hub.cli" in command and str(state).encode() in command else None


def start(state: Path, *, host: str, port: int, tls: bool = False, cdn_port: int | None = None) -> Running:
    """Serve in the background; a hub that already serves so is left alone, one that serves otherwise is moved.

    Raises ClusterError when it does not come up.
    """
    present = find(state)
    wanted = Running(pid=present.pid if present else 0, host=host, port=port, tls=tls, cdn_port=cdn_port)
    log = state / "hub.log"
    if present == wanted:
        with suppress(ClusterError):
            _wait_until_up(wanted, state=state, log=log)
            return wanted
    if present is not None:
        stop(state)
    state.mkdir(parents=True, exist_ok=True)
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
        *(["--tls"] if tls else []),
        *(["--cdn-port", str(cdn_port)] if cdn_port is not None else []),
    ]
    package_root = str(layout.REPOSITORY / "hack")
    pid = spawn(command, log=log, environment={"PYTHONPATH": package_root})
    running = replace(wanted, pid=pid)
    _pid_file(state).write_text(json.dumps(asdict(running)))
    _wait_until_up(running, state=state, log=log)
    return running


def stop(state: Path) -> bool:
    """End the hub of this state folder; False when none runs."""
    running = find(state)
    if running is not None:
        terminate([running.pid])
    _pid_file(state).unlink(missing_ok=True)
    return running is not None


def _wait_until_up(running: Running, *, state: Path, log: Path) -> None:
    def up_or_ended() -> bool:
        return _answers(running, state=state) or start_time(running.pid) is None

    try:
        wait_until(up_or_ended, what="the hub", deadline_seconds=_START_SECONDS)
    except TookTooLong:
        terminate([running.pid], grace_seconds=0)
    if start_time(running.pid) is None:
        raise ClusterError(f"the hub did not come up on {running.url}; the end of {log}:\n{tail(log)}")


def _answers(running: Running, *, state: Path) -> bool:
    """Whether this very process answers, and not another server that took the port."""
    # the environment's proxy must not stand between this machine and itself
    try:
        trust = ssl.create_default_context(cafile=authority_file(state) if running.tls else None)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(f"{running.url}/-/health", timeout=2) as response:
            return bool(response.read(32) == str(running.pid).encode())
    except OSError:
        return False


def _interpreter() -> str:
    """A Python that has the server's libraries: this one, or the development environment's."""
    if importlib.util.find_spec("uvicorn") and importlib.util.find_spec("starlette"):
        return sys.executable
    python = layout.REPOSITORY / ".venv" / "bin" / "python"
    if python.exists():
        return str(python)
    raise ClusterError("the hub needs starlette and uvicorn: make the development environment first (make environment)")


def _pid_file(state: Path) -> Path:
    return state / "hub.pid"
