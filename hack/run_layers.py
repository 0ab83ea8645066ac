"""Runs every layer of tests in order and prints how long each took: what `make test` calls.

The cluster comes up and the images are built in the background while the layers that need neither run. Layers of one
stage run at the same time: they spend much of it waiting, and none of them measures anything. A cluster that this run
started is taken down again; one that was there before is left running. So it is too on Ctrl-C and SIGTERM, which end
every layer and the preparation with all that they have started.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from localmode import require_local_mode
from process_groups import ProcessGroups, process_groups

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
CLUSTER = ROOT / "hack" / "cluster"
LIFECYCLE = "tests/localcluster/lifecycle"
SIMULATED = ("tests/nodes", "tests/scale")
LOGS = ROOT / "build" / "layers"
PYTEST = (str(BIN / "pytest"), "--durations=5")


@dataclass(frozen=True)
class Layer:
    name: str
    commands: Sequence[Sequence[str]]


Stage = Sequence[Layer]

WITHOUT_CLUSTER: Sequence[Stage] = (
    (
        Layer(
            "lint",
            (
                (str(BIN / "ruff"), "check", "."),
                (str(BIN / "ruff"), "format", "--check", "."),
                (str(BIN / "lint-imports"), "--no-cache"),
            ),
        ),
    ),
    (Layer("types", ((str(BIN / "mypy"),),)),),
    (Layer("generated files", ((str(BIN / "python"), "hack/generate", "--check"),)),),
    (
        Layer("unit", ((*PYTEST, "-m", "not apiserver and not e2e and not clients and not soak"),)),
        Layer("clients", ((*PYTEST, "tests/clients"),)),
    ),
)
WITH_CLUSTER: Sequence[Stage] = (
    (
        Layer("API server", ((*PYTEST, "-m", "apiserver and not soak", *(f"--ignore={path}" for path in SIMULATED)),)),
        Layer("simulated nodes", ((*PYTEST, "-m", "apiserver and not soak", *SIMULATED),)),
    ),
    (Layer("end to end", ((*PYTEST, "-m", "e2e and not soak", f"--ignore={LIFECYCLE}"),)),),
)
# Kills and removes the cluster, so it runs last, and never on a cluster that somebody works with.
DESTRUCTIVE: Stage = (Layer("cluster lifecycle", ((*PYTEST, "-m", "e2e", LIFECYCLE),)),)


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
    with_cluster = WITH_CLUSTER if was_running else (*WITH_CLUSTER, DESTRUCTIVE)
    outcomes: list[Outcome] = []
    signal.signal(signal.SIGTERM, leave)
    # A shell that starts this in the background has it ignored, which everything started here would inherit: none of
    # it would tidy up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ThreadPoolExecutor(max_workers=1) as background, process_groups() as groups, log.open("wb") as output:
            preparation = background.submit(
                groups.run,
                ["bash", "-c", f"'{CLUSTER}' tools && '{CLUSTER}' up && '{CLUSTER}' build all"],
                folder=ROOT,
                output=output,
            )
            for stage in WITHOUT_CLUSTER:
                outcomes += run(stage)
            print(f"=== cluster and images (log: {log.relative_to(ROOT)})", flush=True)
            ready = wait_showing_progress(preparation, log=log)
            outcomes.append(Outcome("cluster and images", time.monotonic() - started, ready))
            if ready:
                for stage in with_cluster:
                    outcomes += run(stage)
    finally:
        if not was_running:
            subprocess.run([str(CLUSTER), "down"], cwd=ROOT, check=False)
    if was_running:
        print(f"\nleft out, because they would remove the running cluster: {LIFECYCLE} (hack/cluster down, then again)")
    return report(outcomes, expected=[layer for stage in (*WITHOUT_CLUSTER, *with_cluster) for layer in stage])


def leave(number: int, _: object) -> None:
    """By the way that exceptions take, on which everything is taken down."""
    sys.exit(128 + number)


def anything_is_running() -> bool:
    """Whether any part of a cluster runs: then it is somebody's, even when it is not whole."""
    command = [str(CLUSTER), "status", "-o", "json", "--no-disk"]
    status = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return any(json.loads(status.stdout)["components"].values())


def run(stage: Stage) -> Sequence[Outcome]:
    """All its layers at the same time. The first one's output is shown as it comes, that of the others at the end."""
    first, *others = stage
    LOGS.mkdir(parents=True, exist_ok=True)
    logs = [LOGS / f"{layer.name.replace(' ', '-')}.log" for layer in others]
    with ThreadPoolExecutor(max_workers=len(stage)) as pool, process_groups() as groups:
        pending = [
            pool.submit(run_layer, layer, groups=groups, log=log) for layer, log in zip(others, logs, strict=True)
        ]
        outcomes = [pool.submit(run_layer, first, groups=groups).result()]
        for future, log in zip(pending, logs, strict=True):
            outcomes.append(future.result())
            print(f"=== {outcomes[-1].name}", flush=True)
            sys.stdout.buffer.write(log.read_bytes())
            sys.stdout.buffer.flush()
    return outcomes


def run_layer(layer: Layer, *, groups: ProcessGroups, log: Path | None = None) -> Outcome:
    """Its output goes to `log` where there is one."""
    print(f"=== {layer.name}" if log is None else f"=== beside it: {layer.name} ({log.relative_to(ROOT)})", flush=True)
    started = time.monotonic()
    with nullcontext() if log is None else log.open("wb") as output:
        codes = [groups.run(command, folder=ROOT, output=output) for command in layer.commands]
    return Outcome(layer.name, time.monotonic() - started, not any(codes))


def wait_showing_progress(preparation: Future[int], *, log: Path) -> bool:
    """Follow the log until the preparation ends: a cold build takes minutes and should not look stuck."""
    with log.open("rb") as lines:
        while not preparation.done():
            sys.stdout.buffer.write(lines.read())
            sys.stdout.buffer.flush()
            wait([preparation], timeout=1.0)
        sys.stdout.buffer.write(lines.read())
        sys.stdout.buffer.flush()
    return preparation.result() == 0


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
