"""How fast the operator reacts on the local cluster, from the API server's audit log (microseconds, one clock).

    .venv/bin/python bench/operator_latency.py [--rounds 5]

Needs a running cluster with the operator and the hub of `make demo`. Prints minimum, median and maximum of
    apply to first child        the user's write until the operator's first write of another object
    ready after the pod         the kubelet reports the last pod ready until the status says Ready=True
    trouble to condition        the scheduler reports the pod unschedulable until the status says so
and the operator's resident memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]

from live_cluster import LiveCluster, is_true  # noqa: E402
from models_under_test import RESOURCES, embedding_model  # noqa: E402

NAMESPACE = "operator-latency"
OPERATOR = "system:serviceaccount:embedding-operator-system:embedding-operator"
SCHEDULER = "system:kube-scheduler"
Event = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    status = json.loads(subprocess.check_output([ROOT / "hack" / "cluster", "status", "-o", "json", "--no-disk"]))
    cluster = LiveCluster(
        kubectl_binary=status["tools"]["kubectl"],
        kubeconfig=Path(status["kubeconfig"]),
        audit_log=Path(status["auditLog"]),
    )
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    figures: dict[str, list[float]] = {}
    try:
        for number in range(rounds):
            for name, seconds in measure(cluster, number=number).items():
                figures.setdefault(name, []).append(seconds)
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    for name, values in figures.items():
        print(f"{name:<24} {min(values):6.2f} {median(values):6.2f} {max(values):6.2f} s")
    for pid, mebibytes in operator_memory():
        print(f"operator process {pid:<7} {mebibytes:6.0f} MiB resident")


def measure(cluster: LiveCluster, *, number: int) -> Mapping[str, float]:
    offset = cluster.audit_offset()
    good = f"good-{number}"
    cluster.apply(embedding_model(good, namespace=NAMESPACE))
    cluster.wait_for(
        f"{good} is Ready",
        lambda: is_true(cluster.must_get("embeddingmodel", good, namespace=NAMESPACE), "Ready"),
        seconds=300,
    )
    huge = f"huge-{number}"
    resources = RESOURCES | {"requests": {"memory": "10Ti"}, "limits": {}}
    cluster.apply(embedding_model(huge, namespace=NAMESPACE, resources=resources))

    def says_why() -> bool:
        model = cluster.must_get("embeddingmodel", huge, namespace=NAMESPACE)
        rows = model.get("status", {}).get("conditions", ())
        return any(row["type"] == "Ready" and row["reason"] == "InsufficientCapacity" for row in rows)

    cluster.wait_for(f"{huge} says why it waits", says_why, seconds=120)
    events = list(completed(cluster, offset=offset))
    figures = {
        "apply to first child": between(
            events, start=writes_model(good, by_user=True), end=lambda event: is_child_of(event, model=good)
        ),
        "ready after the pod": between(
            events, start=pod_status(good, user="system:node:"), end=writes_model(good, by_user=False), last=True
        ),
        "trouble to condition": between(
            events, start=pod_status(huge, user=SCHEDULER), end=writes_model(huge, by_user=False), last=True
        ),
    }
    for name in (good, huge):
        cluster.delete("embeddingmodel", name, namespace=NAMESPACE)
    return figures


def completed(cluster: LiveCluster, *, offset: int) -> Iterator[Event]:
    for event in cluster.audit_events(since_offset=offset):
        reference = event.get("objectRef") or {}
        if event["stage"] == "ResponseComplete" and reference.get("namespace") == NAMESPACE:
            yield event


def between(
    events: list[Event], *, start: Callable[[Event], bool], end: Callable[[Event], bool], last: bool = False
) -> float:
    """Seconds from the end of the first `start` (or the last one) to the end of the first `end` after it."""
    starts = [moment(event) for event in events if start(event)]
    begun = starts[-1] if last else starts[0]
    return next((moment(event) - begun).total_seconds() for event in events if end(event) and moment(event) > begun)


def moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["stageTimestamp"])


def writes_model(name: str, *, by_user: bool) -> Callable[[Event], bool]:
    def matches(event: Event) -> bool:
        reference = event["objectRef"]
        written = event["verb"] in ("create", "patch") and reference["resource"] == "embeddingmodels"
        return written and reference.get("name") == name and (event["user"]["username"] != OPERATOR) == by_user

    return matches


def is_child_of(event: Event, *, model: str) -> bool:
    reference = event["objectRef"]
    written = event["verb"] in ("create", "patch") and event["user"]["username"] == OPERATOR
    return written and reference["resource"] != "embeddingmodels" and str(reference.get("name")).startswith(model)


def pod_status(model: str, *, user: str) -> Callable[[Event], bool]:
    def matches(event: Event) -> bool:
        reference = event["objectRef"]
        status = reference["resource"] == "pods" and reference.get("subresource") == "status"
        return status and str(reference.get("name")).startswith(model) and event["user"]["username"].startswith(user)

    return matches


def operator_memory() -> Iterator[tuple[int, float]]:
    """Resident memory of each operator process, in MiB."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                status = (entry / "status").read_text()
            except OSError:
                continue
            if b"embedding_operator" in command and b"run" in command:
                resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                yield int(entry.name), int(resident.split()[1]) / 1024


if __name__ == "__main__":
    main()
