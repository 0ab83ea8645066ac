"""Daemons of the cluster: started detached, found again by process id and start time, stopped for certain."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcluster import layout
from localcluster.errors import ClusterError, TookTooLong
from localcluster.progress import Task, wait_until

LOG_TAIL_LINES = 12
STOP_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Daemon:
    """One long-running process.

    ``environment`` is added to this process's own. Output goes to ``LOGS/<name>.log``.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        """File with the daemon's standard output and error."""
        return layout.LOGS / f"{self.name}.log"


def start_time(pid: int) -> str | None:
    """Start time of a living process in clock ticks since boot, None when it is gone or a zombie.

    Together with the id it names one process for certain: ids are used again, start times within an id are not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")  # the name in it may be any bytes
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def running_pid(name: str) -> int | None:
    """Process id of the daemon of that name, None when it does not run."""
    record = _record(name)
    return int(record["pid"]) if record else None


def running_since(name: str) -> int | None:
    """When the running daemon of that name was started, in whole seconds since 1970; None when it does not run."""
    record = _record(name)
    return int(record["since"]) if record else None


def _record(name: str) -> dict[str, Any] | None:
    """What was noted of the daemon when it was started, if that very process still lives."""
    try:
        record: dict[str, Any] = json.loads((layout.PID_FILES / f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    # One that ended before it was noted has no start time, as every process has that is gone.
    alive = record["started"] is not None and start_time(record["pid"]) == record["started"]
    return record if alive else None


def start(daemon: Daemon) -> bool:
    """Start the daemon unless it runs; answers whether it was started now."""
    if running_pid(daemon.name):
        return False
    daemon.log.parent.mkdir(parents=True, exist_ok=True)
    layout.PID_FILES.mkdir(parents=True, exist_ok=True)
    if daemon.log.exists():
        daemon.log.replace(daemon.log.with_suffix(".log.previous"))
    pid = spawn(daemon.command, log=daemon.log, environment=daemon.environment)
    record = {"pid": pid, "started": start_time(pid), "since": int(time.time())}
    (layout.PID_FILES / f"{daemon.name}.json").write_text(json.dumps(record))
    return True


def spawn(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> int:
    """Start a process that outlives this one, in a session of its own and in /; answers its id.

    ``environment`` is added to this process's own; output is appended to ``log``. A program that does not exist ends
    with exit code 127 and a line in the log.
    """
    # Not subprocess.Popen: it takes a child that outlives it for a mistake and warns. env changes the folder, which
    # posix_spawn cannot, and then becomes the program, with the same process id.
    words = ["env", "--chdir=/", *command]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Python ignores SIGPIPE, which a program that it starts would inherit.
    return os.posix_spawnp(
        words[0],
        words,
        {**os.environ, **environment},
        file_actions=actions,
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def await_ready(daemon: Daemon, *, ready: Task, deadline_seconds: float) -> None:
    """Wait until ``ready`` answers true.

    Raises ClusterError with the end of the daemon's log when it ends before, or takes too long.
    """

    def ready_or_ended() -> object:
        return ready() or running_pid(daemon.name) is None

    try:
        wait_until(ready_or_ended, what=daemon.name, deadline_seconds=deadline_seconds)
        if running_pid(daemon.name):
            return
        reason = f"{daemon.name} ended before it was ready"
    except TookTooLong as error:
        reason = str(error)
    raise ClusterError(f"{reason}. Its log {daemon.log} ends with:\n{tail(daemon.log)}")


def tail(log: Path) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
    except FileNotFoundError:
        return "(no log)"


def stop(name: str) -> None:
    """Ask the daemon to end, make it end after 10 s, and forget it."""
    pid = running_pid(name)
    if pid:
        terminate([pid])
    (layout.PID_FILES / f"{name}.json").unlink(missing_ok=True)


def terminate(pids: Sequence[int], *, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after the grace period."""
    identities = [(pid, start_time(pid)) for pid in pids]

    def living() -> list[int]:
        return [pid for pid, started in identities if started and start_time(pid) == started]

    for number, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 10.0)):
        for pid in living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        try:
            wait_until(lambda: not living(), what="end of processes", deadline_seconds=patience, interval_seconds=0.02)
            return
        except TookTooLong:
            continue
    raise ClusterError(
        f"processes {living()} do not end even on SIGKILL; they wait on the kernel: reboot to be rid of them"
    )


def run(command: Sequence[str], *, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and answer its standard output.

    Raises ClusterError with the end of what it wrote when it fails, or when the program is not installed.
    """
    try:
        result = subprocess.run(
            list(command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]} is not on this machine: install it, or put it on PATH") from error
    if result.returncode:
        output = "\n".join((result.stdout + result.stderr).splitlines()[-LOG_TAIL_LINES:])
        raise ClusterError(f"`{' '.join(command[:4])} ...` failed with exit code {result.returncode}:\n{output}")
    return result.stdout


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command ends with exit code 0; its output is thrown away. One that is not installed does not."""
    try:
        return subprocess.run(list(command), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
