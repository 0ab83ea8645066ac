"""Runs every layer of tests in order and prints how long each took: what `make test` calls.

The cluster comes up and the images are built in the background while the layers that need neither run. A cluster that
this run started is taken down again; one that was there before is left running.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localmode import require_local_mode

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
CLUSTER = ROOT / "hack" / "cluster"
LIFECYCLE = "tests/localcluster/lifecycle"
PYTEST = (str(BIN / "pytest"), "--durations=5")


@dataclass(frozen=True)
class Layer:
    name: str
    commands: Sequence[Sequence[str]]
    needs_cluster: bool = False


LAYERS = (
    Layer(
        "lint",
        (
            (str(BIN / "ruff"), "check", "."),
            (str(BIN / "ruff"), "format", "--check", "."),
            (str(BIN / "lint-imports"), "--no-cache"),
        ),
    ),
    Layer("types", ((str(BIN / "mypy"),),)),
    Layer("generated files", ((str(BIN / "python"), "hack/generate", "--check"),)),
    Layer("unit", ((*PYTEST, "-m", "not apiserver and not e2e and not clients and not soak"),)),
    Layer("clients", ((*PYTEST, "tests/clients"),)),
    Layer("API server", ((*PYTEST, "-m", "apiserver"),), needs_cluster=True),
    Layer("end to end", ((*PYTEST, "-m", "e2e and not soak", f"--ignore={LIFECYCLE}"),), needs_cluster=True),
)
# Kills and removes the cluster, so it runs last, and never on a cluster that somebody works with.
DESTRUCTIVE = Layer("cluster lifecycle", ((*PYTEST, "-m", "e2e", LIFECYCLE),), needs_cluster=True)


@dataclass(frozen=True)
class Outcome:
    name: str
    seconds: float
    passed: bool


def main() -> int:
    require_local_mode("make test")
    was_running = anything_is_running()
    log = ROOT / "build" / "cluster.log"
    log.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        preparation = subprocess.Popen(
            ["bash", "-c", f"'{CLUSTER}' up && '{CLUSTER}' build all"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    layers = LAYERS if was_running else (*LAYERS, DESTRUCTIVE)
    outcomes: list[Outcome] = []
    try:
        for layer in (layer for layer in layers if not layer.needs_cluster):
            outcomes.append(run(layer))
        print(f"=== cluster and images (log: {log.relative_to(ROOT)})", flush=True)
        ready = wait_showing_progress(preparation, log=log)
        outcomes.append(Outcome("cluster and images", time.monotonic() - started, ready))
        if ready:
            for layer in (layer for layer in layers if layer.needs_cluster):
                outcomes.append(run(layer))
    finally:
        if preparation.poll() is None:
            preparation.terminate()
            preparation.wait()
        if not was_running:
            subprocess.run([str(CLUSTER), "down"], cwd=ROOT, check=False)
    if was_running:
        print(f"\nleft out, because they would remove the running cluster: {LIFECYCLE} (hack/cluster down, then again)")
    return report(outcomes, expected=layers)


def anything_is_running() -> bool:
    """Whether any part of a cluster runs: then it is somebody's, even when it is not whole."""
    command = [str(CLUSTER), "status", "-o", "json", "--no-disk"]
    status = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return any(json.loads(status.stdout)["components"].values())


def run(layer: Layer) -> Outcome:
    print(f"=== {layer.name}", flush=True)
    started = time.monotonic()
    codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in layer.commands]
    return Outcome(layer.name, time.monotonic() - started, not any(codes))


def wait_showing_progress(preparation: subprocess.Popen[bytes], *, log: Path) -> bool:
    """Follow the log until the preparation ends: a cold build takes minutes and should not look stuck."""
    with log.open("rb") as lines:
        while preparation.poll() is None:
            sys.stdout.buffer.write(lines.read())
            sys.stdout.buffer.flush()
            try:
                preparation.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                continue
        sys.stdout.buffer.write(lines.read())
        sys.stdout.buffer.flush()
    return preparation.returncode == 0


def report(outcomes: Sequence[Outcome], *, expected: Sequence[Layer]) -> int:
    print("\nlayer                  time  result")
    for outcome in outcomes:
        minutes, seconds = divmod(round(outcome.seconds), 60)
        print(f"{outcome.name:<20} {minutes:2d}m{seconds:02d}s  {'passed' if outcome.passed else 'FAILED'}")
    complete = {outcome.name for outcome in outcomes} >= {layer.name for layer in expected}
    if not complete:
        print("layers that need the cluster did not run, because it did not come up")
    return 0 if complete and all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
