"""`make test` that is interrupted leaves no process behind, and no cluster that it brought up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

import pytest

from localcluster.processes import start_time, terminate
from localcluster.progress import wait_until
from process_groups import ProcessGroups, process_groups

HACK = Path(__file__).resolve().parents[3] / "hack"
DEADLINE_SECONDS = 60.0

# A process with a child of its own: both note their ids in the folder of the first argument, and stay. One that is
# interrupted tidies up.
TREE = """
import os, pathlib, signal, subprocess, sys
folder, *words = sys.argv[1:]
if "stubborn" in words:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if "child" not in words:
    subprocess.Popen([sys.executable, __file__, folder, *words, "child"])
try:
    pathlib.Path(folder, str(os.getpid())).touch()
    while True:
        signal.pause()
except KeyboardInterrupt:
    pathlib.Path(folder).with_name("tidied").joinpath(str(os.getpid())).touch()
"""

# What stands in for hack/cluster: nothing runs, the tools take for ever, and down says that it was called.
CLUSTER = """#!/bin/sh
case "$1" in
status) echo '{"components": {"kubelet": false}}' ;;
tools) exec PYTHON TREE PIDS ;;
down) touch DOWN ;;
esac
"""

RUN = """
import sys
from pathlib import Path
from threading import Thread
sys.path.insert(0, "HACK")
import run_layers
folder = Path(sys.argv[1])
command = (sys.executable, str(folder / "tree.py"), str(folder / "pids"))
run_layers.ROOT, run_layers.LOGS, run_layers.CLUSTER = folder, folder / "layers", folder / "cluster"
run_layers.WITHOUT_CLUSTER = ((run_layers.Layer("first", (command, command)), run_layers.Layer("other", (command,))),)
sys.exit(run_layers.main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """With the programs; what a test has left running ends with it."""
    tree = tmp_path / "tree.py"
    tree.write_text(TREE)
    (tmp_path / "pids").mkdir()
    (tmp_path / "tidied").mkdir()
    (tmp_path / "build").mkdir()
    (tmp_path / "run.py").write_text(RUN.replace("HACK", str(HACK)))
    words = {"PYTHON": sys.executable, "TREE": tree, "PIDS": tmp_path / "pids", "DOWN": tmp_path / "down"}
    script = CLUSTER
    for word, path in words.items():
        script = script.replace(word, str(path))
    (tmp_path / "cluster").write_text(script)
    (tmp_path / "cluster").chmod(0o755)
    yield tmp_path
    terminate(list_noted(tmp_path))


def await_processes(folder: Path, *, count: int) -> Sequence[int]:
    """Their ids, once that many have started."""
    wait_until(lambda: len(list_noted(folder)) == count, what=f"{count} processes", deadline_seconds=DEADLINE_SECONDS)
    return list_noted(folder)


def list_noted(folder: Path) -> Sequence[int]:
    return [int(file.name) for file in (folder / "pids").iterdir()]


# As a shell without job control starts what it runs in the background.
DEAF = ("sh", "-c", 'trap \'\' INT; exec "$0" "$@"')


@pytest.mark.parametrize(
    ("number", "shell"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGTERM, DEAF)],
    ids=["Ctrl-C", "SIGTERM", "SIGTERM in the background"],
)
def test_what_layers_and_preparation_have_started_tidies_up_and_ends_with_the_run(
    folder: Path, number: signal.Signals, shell: Sequence[str]
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "CLUSTER"}
    command = [*shell, sys.executable, str(folder / "run.py"), str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        pids = await_processes(folder, count=6)
        run.send_signal(number)
        output, _ = run.communicate(timeout=DEADLINE_SECONDS)
    assert run.returncode in (-number, 128 + number), output
    assert [pid for pid in pids if start_time(pid)] == []
    assert len(list_noted(folder)) == 6, "the next command of a layer was started"
    assert {int(file.name) for file in (folder / "tidied").iterdir()} == set(pids)
    assert (folder / "down").exists()


def test_what_does_not_heed_an_interrupt_is_killed(folder: Path) -> None:
    groups = ProcessGroups(grace_seconds=0.1)
    command = [sys.executable, str(folder / "tree.py"), str(folder / "pids"), "stubborn"]
    running = Thread(target=groups.run, args=(command,), kwargs={"folder": folder})
    running.start()
    pids = await_processes(folder, count=2)
    groups.end()
    running.join()
    assert [pid for pid in pids if start_time(pid)] == []


def test_a_process_whose_name_is_no_text_keeps_nothing_from_ending(folder: Path) -> None:
    named = f"open('/proc/self/comm', 'wb').write(b'\\xff'); {TREE}"
    groups = ProcessGroups()
    command = [sys.executable, "-c", named, str(folder / "pids"), "child"]
    running = Thread(target=groups.run, args=(command,), kwargs={"folder": folder})
    running.start()
    [pid] = await_processes(folder, count=1)
    groups.end()
    running.join()
    assert start_time(pid) is None


def test_the_exit_code_of_a_command_is_told(folder: Path) -> None:
    with process_groups() as groups:
        assert groups.run([sys.executable, "-c", "raise SystemExit(3)"], folder=folder) == 3
