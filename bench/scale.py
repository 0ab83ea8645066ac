"""What one operator does with hundreds of models, on a cluster whose kubelets are played by kwok (docs/scale.md).

    .venv/bin/python bench/scale.py [--models 500] [--replicas 4] [--cycles 1000]

A model is given 384 dimensions, so that its ConfigMaps are as large as those of a small real one; its reference set is
computed by a Job of its own. Prints
    converge         from the first model's creation until all are Ready and Verified
    processor        the operator's time on it, for each model; nan where it lost its Lease meanwhile
    plain script     the same children applied with server-side apply by as many workers through the same client: each
                     model's Job, once its pod runs the rest, until all Deployments are available; on a cluster of its
                     own, afterwards
    idle             writes but for the Lease, lists and the operator's share of a core, within one resync
    memory           resident, of the leader
    growth           of resident memory over so many models that are created and deleted, per 1000
    taken over       from kill -9 of the leader until the other one's first write
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "hack")]

import tiny_models  # noqa: E402
from many_models import LEASE, ManyModels, many_models, number_models  # noqa: E402
from operator_under_test import OperatorProcess  # noqa: E402
from watched import watched  # noqa: E402

from embedding_operator.api.names import COMPONENT_REFERENCE, LABEL_COMPONENT, LABEL_MODEL  # noqa: E402
from embedding_operator.kube.client import KubernetesGateway  # noqa: E402
from embedding_operator.kube.connection import load_configuration  # noqa: E402
from embedding_operator.kube.gateway import JOB, POD  # noqa: E402
from embedding_operator.settings import Settings  # noqa: E402

DIMENSIONS = 384
NAMESPACES = 20
RESYNC_SECONDS = 180
LONGEST_SECONDS = 3600.0
BATCH = 50  # models that are there at the same time while they come and go
POLL_SECONDS = 0.5
JOBS = "/apis/batch/v1/jobs"
CHILDREN = (
    "/api/v1/configmaps",
    "/api/v1/services",
    "/apis/policy/v1/poddisruptionbudgets",
    "/apis/apps/v1/deployments",
)
SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")

Object = Mapping[str, Any]


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
    with cluster(grace_seconds=0) as models:
        plain = measure_plain(models, children)
        show("plain script", f"{plain:.0f} s; the operator takes {seconds / plain:.2f} times as long")


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


def read_children(models: ManyModels, *, jobs: Sequence[Object]) -> Mapping[str, Sequence[Object]]:
    """By model: its Job first, then the rest in an order in which it can be applied; as somebody would write files."""
    found: dict[str, list[Object]] = {}
    made = {job["metadata"]["uid"]: job for job in jobs}
    for job in made.values():
        found.setdefault(job["metadata"]["labels"][LABEL_MODEL], []).append(write_manifest(job))
    for path in CHILDREN:
        listed = models.rig.server.request("GET", f"{path}?labelSelector={LABEL_MODEL}")
        kind = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        for item in listed["items"]:
            found.setdefault(item["metadata"]["labels"][LABEL_MODEL], []).append(write_manifest({**item, **kind}))
    assert all(children[0]["kind"] == "Job" for children in found.values()), "a model had no Job, or two"
    return found


def write_manifest(item: Object) -> Object:
    """Without what the server adds."""
    metadata = {key: value for key, value in item["metadata"].items() if key not in SERVER_FIELDS}
    kept = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    spec = {key: value for key, value in kept.pop("spec", {}).items() if key not in ("clusterIP", "clusterIPs")}
    if item["kind"] == "Job":  # the controller's own, which it writes into selector and labels
        spec.pop("selector", None)
        labels = spec["template"]["metadata"]["labels"]
        own = {key: value for key, value in labels.items() if not key.endswith(("controller-uid", "job-name"))}
        spec["template"] = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": own}}
    return {**kept, **({"spec": spec} if spec else {}), "metadata": metadata}


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


def measure_plain(models: ManyModels, children: Mapping[str, Sequence[Object]]) -> float:
    begun = time.monotonic()
    asyncio.run(apply_all(models, children))

    def are_available() -> bool:
        printed = models.rig.server.list_columns("/apis/apps/v1/deployments")
        return len(printed) == len(children) and all(
            str(columns["Available"]) == columns["Ready"].rpartition("/")[2] for columns in printed
        )

    models.wait_for("all Deployments are available", are_available, seconds=LONGEST_SECONDS)
    return time.monotonic() - begun


async def apply_all(models: ManyModels, children: Mapping[str, Sequence[Object]]) -> None:
    configuration = await load_configuration(kubeconfig=models.rig.server.kubeconfig)
    async with KubernetesGateway(configuration) as gateway:
        await at_once(gateway.apply(items[0]) for items in children.values())
        left = dict(children)
        while left:
            pods = await gateway.list(POD, namespace=None, labels={LABEL_COMPONENT: COMPONENT_REFERENCE})
            running = {pod["metadata"]["labels"][LABEL_MODEL] for pod in pods if pod["status"]["phase"] == "Running"}
            now = [left.pop(name) for name in running & left.keys()]
            await at_once(apply_rest(gateway, items) for items in now)
            if not now:
                await asyncio.sleep(POLL_SECONDS)


async def apply_rest(gateway: KubernetesGateway, children: Sequence[Object]) -> None:
    job, *rest = children
    await gateway.delete(JOB, namespace=job["metadata"]["namespace"], name=job["metadata"]["name"])
    for child in rest:
        await gateway.apply(child)


async def at_once(calls: Iterable[Awaitable[object]]) -> None:
    """As many at the same time as the operator has workers."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call

    await asyncio.gather(*(work() for _ in range(Settings().workers)))


def processor_seconds(operator: OperatorProcess) -> float:
    fields = Path(f"/proc/{operator.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(what: str, value: str) -> None:
    print(f"{what:<16} {value}", flush=True)


if __name__ == "__main__":
    main()
