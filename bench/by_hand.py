"""The children of many models made without an operator, for bench/scale.py: what its time is measured against."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from many_models import ManyModels

from embedding_operator.api.names import COMPONENT_REFERENCE, LABEL_COMPONENT, LABEL_MODEL
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.connection import load_configuration
from embedding_operator.kube.gateway import JOB, POD
from embedding_operator.settings import Settings
from localcluster.binaries import ensure_client_tool

LONGEST_SECONDS = 3600.0
POLL_SECONDS = 0.5
DEPLOYMENTS = "/apis/apps/v1/deployments"
CHILDREN = ("/api/v1/configmaps", "/api/v1/services", "/apis/policy/v1/poddisruptionbudgets", DEPLOYMENTS)
SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
ALL = ("--all", "--all-namespaces", f"--timeout={LONGEST_SECONDS:.0f}s")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptTimes:
    """Seconds: `applying` of what kubectl took to write, `total` with what it waited."""

    applying: float
    total: float


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


def measure_script(models: ManyModels, children: Mapping[str, Sequence[Object]], *, folder: Path) -> ScriptTimes:
    """Five commands of kubectl: apply all Jobs, wait until they run, delete them, apply the rest, wait until all
    Deployments are available. `folder` takes the files.
    """
    for part in ("jobs", "rest"):
        (folder / part).mkdir()
    for name, (job, *rest) in children.items():
        (folder / "jobs" / f"{name}.json").write_text(json.dumps(job))
        body = {"apiVersion": "v1", "kind": "List", "items": rest}
        (folder / "rest" / f"{name}.json").write_text(json.dumps(body))
    all_jobs, all_rest = f"--filename={folder / 'jobs'}", f"--filename={folder / 'rest'}"
    begun = time.monotonic()
    applying = _time_kubectl(models, "apply", "--server-side", all_jobs)
    _time_kubectl(models, "wait", "--for=jsonpath={.status.ready}=1", "jobs", *ALL)
    applying += _time_kubectl(models, "delete", "--wait=false", all_jobs)
    applying += _time_kubectl(models, "apply", "--server-side", all_rest)
    _time_kubectl(models, "wait", "--for=condition=Available", "deployments", *ALL)
    _wait_available(models, count=len(children))
    return ScriptTimes(applying=applying, total=time.monotonic() - begun)


def measure_parallel(models: ManyModels, children: Mapping[str, Sequence[Object]]) -> float:
    """Seconds of a program that does the same as fast as it can be done: with the operator's own client and as many
    workers, it applies the rest of each model as soon as that model's Job runs.
    """
    begun = time.monotonic()
    asyncio.run(_apply_all(models, children))
    _wait_available(models, count=len(children))
    return time.monotonic() - begun


def _time_kubectl(models: ManyModels, *arguments: str) -> float:
    begun = time.monotonic()
    command = (str(ensure_client_tool("kubectl")), f"--kubeconfig={models.rig.server.kubeconfig}", *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LONGEST_SECONDS)
    return time.monotonic() - begun


def _wait_available(models: ManyModels, *, count: int) -> None:
    def are_available() -> bool:
        printed = models.rig.server.list_columns(DEPLOYMENTS)
        return len(printed) == count and all(
            str(columns["Available"]) == columns["Ready"].rpartition("/")[2] for columns in printed
        )

    models.wait_for("all Deployments are available", are_available, seconds=LONGEST_SECONDS)


async def _apply_all(models: ManyModels, children: Mapping[str, Sequence[Object]]) -> None:
    configuration = await load_configuration(kubeconfig=models.rig.server.kubeconfig)
    async with KubernetesGateway(configuration) as gateway:
        await _at_once(gateway.apply(items[0]) for items in children.values())
        left = dict(children)
        while left:
            pods = await gateway.list(POD, namespace=None, labels={LABEL_COMPONENT: COMPONENT_REFERENCE})
            running = {pod["metadata"]["labels"][LABEL_MODEL] for pod in pods if pod["status"]["phase"] == "Running"}
            now = [left.pop(name) for name in running & left.keys()]
            await _at_once(_apply_rest(gateway, items) for items in now)
            if not now:
                await asyncio.sleep(POLL_SECONDS)


async def _apply_rest(gateway: KubernetesGateway, children: Sequence[Object]) -> None:
    job, *rest = children
    await gateway.delete(JOB, namespace=job["metadata"]["namespace"], name=job["metadata"]["name"])
    for child in rest:
        await gateway.apply(child)


async def _at_once(calls: Iterable[Awaitable[object]]) -> None:
    """As many at the same time as the operator has workers."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call

    await asyncio.gather(*(work() for _ in range(Settings().workers)))
