"""What one operator does with hundreds of models, on a cluster whose kubelets are played by kwok (docs/scale.md).

    .venv/bin/python bench/scale.py [--models 500] [--replicas 4] [--cycles 1000]

A model is given 384 dimensions, so that its ConfigMaps are as large as those of a small real one; its reference set is
computed by a Job of its own. Prints
    converge         from the first model's creation until all are Ready and Verified
    processor        the operator's time on it, for each model; nan where it lost its Lease meanwhile
    plain script     the same children made by kubectl, on a cluster of its own (by_hand.py); the time to converge in
                     times of it
    in parallel      so made by a program with the operator's own client and as many workers; likewise
    idle             writes but for the Lease, lists and the operator's share of a core, within one resync
    memory           resident, of the leader
    growth           of resident memory over so many models that are created and deleted, per 1000
    taken over       from kill -9 of the leader until the other one's first write
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "hack")]

import tiny_models  # noqa: E402
from by_hand import measure_parallel, measure_script, read_children  # noqa: E402
from many_models import LEASE, ManyModels, many_models, number_models  # noqa: E402
from operator_under_test import OperatorProcess  # noqa: E402
from watched import watched  # noqa: E402

DIMENSIONS = 384
NAMESPACES = 20
RESYNC_SECONDS = 180
LONGEST_SECONDS = 3600.0
BATCH = 50  # models that are there at the same time while they come and go
JOBS = "/apis/batch/v1/jobs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--cycles", type=int, default=1000, help="models created and deleted; 0 leaves it out")
    arguments = parser.parse_args()
    names = number_models(arguments.models)
    with cluster(resyncSeconds=RESYNC_SECONDS) as models:
        models.start(replicas=2)
        with watched(models.operator.cluster, JOBS) as jobs:
            leader, spent = models.leader(), processor_seconds(models.leader())
            seconds = measure_converging(models, names, replicas=arguments.replicas)
            is_same = models.leader() is leader
            spent = (processor_seconds(leader) - spent) / arguments.models if is_same else float("nan")
        show("converge", f"{seconds:.0f} s, {arguments.models} models, {arguments.models * arguments.replicas} pods")
        show("processor", f"{spent:.3f} s of the operator for each model")
        show("memory", f"{models.leader().resident_mib():.0f} MiB")
        children = read_children(models, jobs=jobs.states)
        measure_idle(models)
        show("memory, idle", f"{models.leader().resident_mib():.0f} MiB")
        if arguments.cycles:
            show("growth", f"{measure_growth(models, cycles=arguments.cycles):.1f} MiB per 1000 models")
        show("taken over", f"{measure_takeover(models, name=names[0]):.1f} s")
    with cluster(grace_seconds=0) as models, tempfile.TemporaryDirectory() as folder:
        script = measure_script(models, children, folder=Path(folder))
    show(
        "plain script", f"{script.total:.0f} s, {script.applying:.0f} s of them to apply; {seconds / script.total:.2f}"
    )
    with cluster(grace_seconds=0) as models:
        parallel = measure_parallel(models, children)
    show("in parallel", f"{parallel:.0f} s; {seconds / parallel:.2f}")


@contextmanager
def cluster(*, grace_seconds: float | None = None, **settings: Any) -> Iterator[ManyModels]:
    helm = Path(subprocess.check_output([ROOT / "hack" / "cluster", "tool", "helm"], text=True).strip())
    tiny_models.SIZES["hidden"] = DIMENSIONS
    with (
        tempfile.TemporaryDirectory() as folder,
        many_models(Path(folder), helm=helm, namespaces=NAMESPACES, grace_seconds=grace_seconds, **settings) as models,
    ):
        yield models


def measure_converging(models: ManyModels, names: Sequence[str], *, replicas: int) -> float:
    begun = time.monotonic()
    models.apply(names, replicas=replicas, verification={})
    models.wait_verified(names, seconds=LONGEST_SECONDS)
    return time.monotonic() - begun


def measure_idle(models: ManyModels) -> None:
    """One resync, once what follows from convergence has been written."""
    leader = models.leader()
    offset = models.operator.cluster.audit_offset()

    def is_quiet() -> bool:
        nonlocal offset
        if models.writes(since=offset):
            offset = models.operator.cluster.audit_offset()
        return models.calls(since=offset)["update", LEASE] >= 10

    models.wait_for("ten renewals of the Lease without another write", is_quiet, seconds=600)
    offset, spent, begun = models.operator.cluster.audit_offset(), processor_seconds(leader), time.monotonic()
    models.wait_for(
        "a resync", lambda: models.calls(since=offset)["list", "embeddingmodels"], seconds=3 * RESYNC_SECONDS
    )
    time.sleep(RESYNC_SECONDS / 5)  # the models of a resync are spread over a tenth of it
    share = (processor_seconds(leader) - spent) / (time.monotonic() - begun)
    calls = models.calls(since=offset)
    lists = [count for (verb, _), count in calls.items() if verb == "list"]
    show("idle, writes", f"{sum(models.writes(since=offset).values())}")
    show("idle, lists", f"{max(lists)} of a kind, {sum(lists)} in all, within one resync")
    show("idle, processor", f"{share:.2f} cores, one audit a minute of each pod")


def measure_takeover(models: ManyModels, *, name: str) -> float:
    offset = models.operator.cluster.audit_offset()
    killed = datetime.now(UTC)
    models.kill_leader()
    models.change(name, replicas=models.model(name)["spec"]["replicas"] + 1)
    models.wait_for("the other one writes", lambda: models.writes(since=offset), seconds=120)
    for event in models.operator.operator_events(since=offset):
        at = datetime.fromisoformat(event["stageTimestamp"])
        subject = (event.get("objectRef") or {}).get("resource")
        if at > killed and event["verb"] in ("patch", "create", "delete") and subject not in (LEASE, "serviceaccounts"):
            return (at - killed).total_seconds()
    raise AssertionError("no write in the audit log")


def measure_growth(models: ManyModels, *, cycles: int) -> float:
    """MiB per 1000. A first batch is not counted: it fills caches that stay as large as they are."""
    spec: dict[str, Any] = {"replicas": 0, "verification": {"reference": "Off"}}
    come_and_go(models, range(BATCH), spec=spec)
    operator = models.leader()
    before = operator.resident_mib()
    for begin in range(BATCH, BATCH + cycles, BATCH):
        come_and_go(models, range(begin, min(begin + BATCH, BATCH + cycles)), spec=spec)
    return (operator.resident_mib() - before) * 1000 / cycles


def come_and_go(models: ManyModels, numbers: range, *, spec: dict[str, Any]) -> None:
    names = [f"passing-{number}" for number in numbers]
    models.apply(names, **spec)

    def have_come() -> bool:
        return all(models.model(name).get("status", {}).get("url") for name in names)

    models.wait_for("all have a status", have_come, seconds=600)
    models.delete(names)
    models.wait_gone(names, seconds=600)


def processor_seconds(operator: OperatorProcess) -> float:
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(what: str, value: str) -> None:
    print(f"{what:<16} {value}", flush=True)


if __name__ == "__main__":
    main()
