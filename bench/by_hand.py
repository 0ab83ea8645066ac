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
PATHS = ("/api/v1/configmaps", "/api/v1/services", "/apis/policy/v1/poddisruptionbudgets", DEPLOYMENTS)
SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences")
ALL = ("--all", "--all-namespaces", f"--timeout={LONGEST_SECONDS:.0f}s")

Object = Mapping[str, Any]


@dataclass(frozen=True)
class ScriptTimes:
    """Seconds: `applying` of what kubectl took to write, `total` with what it waited."""

    applying: float
    total: float


@dataclass(frozen=True)
class Children:
    """Of one model, as somebody would write files: its Job, the ConfigMaps that this mounts, and what comes after it,
    in an order in which it can be applied.
    """

    mounted: Sequence[Object]
    job: Object
    rest: Sequence[Object]


def read_children(models: ManyModels, *, jobs: Sequence[Object]) -> Mapping[str, Children]:
    """By model."""
    made = {job["metadata"]["uid"]: job for job in jobs}
    job_of = {job["metadata"]["labels"][LABEL_MODEL]: write_manifest(job) for job in made.values()}
    assert len(job_of) == len(made), "a model had two Jobs"
    others: dict[str, list[Object]] = {}
    for path in PATHS:
        listed = models.rig.server.request("GET", f"{path}?labelSelector={LABEL_MODEL}")
        kind = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
        for item in listed["items"]:
            others.setdefault(item["metadata"]["labels"][LABEL_MODEL], []).append(write_manifest({**item, **kind}))
    assert job_of.keys() == others.keys(), "a model had no Job"
    return {model: order_children(job, others[model]) for model, job in job_of.items()}


def order_children(job: Object, others: Sequence[Object]) -> Children:
    volumes = job["spec"]["template"]["spec"]["volumes"]
    names = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}

    def is_mounted(child: Object) -> bool:
        return child["kind"] == "ConfigMap" and child["metadata"]["name"] in names

    mounted = [child for child in others if is_mounted(child)]
    return Children(mounted, job, [child for child in others if not is_mounted(child)])


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


def measure_script(models: ManyModels, children: Mapping[str, Children], *, folder: Path) -> ScriptTimes:
    """Five commands of kubectl: apply all Jobs and what they mount, wait until they run, delete them, apply the rest,
    wait until all Deployments are available. `folder` takes the files.
    """
    for part in ("mounted", "jobs", "rest"):
        (folder / part).mkdir()
    for name, own in children.items():
        for part, items in (("mounted", own.mounted), ("jobs", [own.job]), ("rest", own.rest)):
            body = {"apiVersion": "v1", "kind": "List", "items": items}
            (folder / part / f"{name}.json").write_text(json.dumps(body))
    all_mounted, all_jobs, all_rest = (f"--filename={folder / part}" for part in ("mounted", "jobs", "rest"))
    begun = time.monotonic()
    applying = _time_kubectl(models, "apply", "--server-side", all_mounted, all_jobs)
    _time_kubectl(models, "wait", "--for=jsonpath={.status.ready}=1", "jobs", *ALL)
    applying += _time_kubectl(models, "delete", "--wait=false", all_jobs)
    applying += _time_kubectl(models, "apply", "--server-side", all_rest)
    _time_kubectl(models, "wait", "--for=condition=Available", "deployments", *ALL)
    _wait_available(models, count=len(children))
    return ScriptTimes(applying=applying, total=time.monotonic() - begun)


def measure_parallel(models: ManyModels, children: Mapping[str, Children]) -> float:
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


async def _apply_all(models: ManyModels, children: Mapping[str, Children]) -> None:
    configuration = await load_configuration(kubeconfig=models.rig.server.kubeconfig)
    async with KubernetesGateway(configuration) as gateway:
        await _at_once(_apply_job(gateway, own) for own in children.values())
        left = dict(children)
        while left:
            pods = await gateway.list(POD, namespace=None, labels={LABEL_COMPONENT: COMPONENT_REFERENCE})
            running = {pod["metadata"]["labels"][LABEL_MODEL] for pod in pods if pod["status"]["phase"] == "Running"}
            now = [left.pop(name) for name in running & left.keys()]
            await _at_once(_apply_rest(gateway, own) for own in now)
            if not now:
                await asyncio.sleep(POLL_SECONDS)


async def _apply_job(gateway: KubernetesGateway, own: Children) -> None:
    for child in (*own.mounted, own.job):
        await gateway.apply(child)


async def _apply_rest(gateway: KubernetesGateway, own: Children) -> None:
    job = own.job["metadata"]
    await gateway.delete(JOB, namespace=job["namespace"], name=job["name"])
    for child in own.rest:
        await gateway.apply(child)


async def _at_once(calls: Iterable[Awaitable[object]]) -> None:
    """As many at the same time as the operator has workers."""
    left = iter(calls)

    async def work() -> None:
        for call in left:
            await call

    await asyncio.gather(*(work() for _ in range(Settings().workers)))
