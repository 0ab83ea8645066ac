"""The operator may die at any time: nothing that serves notices, and a quiet cluster stays quiet."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from live_cluster import LiveCluster, Object

LEASE_RENEWALS_TO_WATCH = 15
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def operator_processes() -> Iterator[int]:
    """Process ids of `python -m embedding_operator run`, in whatever container."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"embedding_operator" in command and b"run" in command:
            yield int(entry.name)


def operator_writes(cluster: LiveCluster, *, namespace: str, offset: int) -> Sequence[Object]:
    """Completed writes of the operator's service account since the offset. A token that it asks for is not stored."""
    user = f"system:serviceaccount:{namespace}:embedding-operator"
    return [
        event
        for event in cluster.audit_events(since_offset=offset)
        if event["user"]["username"] == user
        and event["verb"] in WRITES
        and event["stage"] == "ResponseComplete"
        and event["objectRef"].get("subresource") != "token"
    ]


def test_killed_while_a_model_comes_up_the_operator_converges_and_restarts_no_pod(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    operator: str,
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    apply_model()
    live_cluster.wait_for(
        "the first child is there",
        lambda: live_cluster.list("configmaps", namespace=namespace, labels="embedding-operator.dev/model=minilm"),
    )
    kill_operator(live_cluster, namespace=operator)
    wait_ready()
    before = live_cluster.server_pods(namespace=namespace)
    assert list(before.values()) == [0]

    kill_operator(live_cluster, namespace=operator)
    # The proof that it works again: an edit that only a living operator answers.
    apply_model(replicas=0)
    wait_ready()
    apply_model(replicas=1)
    wait_ready()


def test_a_kill_in_the_steady_state_restarts_no_pod_and_then_only_the_lease_is_written(
    apply_model: Callable[..., Any],
    live_cluster: LiveCluster,
    namespace: str,
    operator: str,
    wait_ready: Callable[..., Mapping[str, Any]],
) -> None:
    apply_model()
    wait_ready()
    ready = live_cluster.wait_until_settled("minilm", namespace=namespace)
    before = live_cluster.server_pods(namespace=namespace)
    kill_operator(live_cluster, namespace=operator)

    offset = live_cluster.audit_offset()

    def renewals() -> Sequence[Object]:
        writes = operator_writes(live_cluster, namespace=operator, offset=offset)
        return [event for event in writes if event["objectRef"]["resource"] == "leases"]

    live_cluster.wait_for("a new leader", renewals, seconds=120)
    live_cluster.wait_for(
        "enough renewals of the Lease", lambda: len(renewals()) >= LEASE_RENEWALS_TO_WATCH, seconds=180
    )
    others = [
        f"{event['verb']} {event['objectRef'].get('resource')}/{event['objectRef'].get('name')}"
        for event in operator_writes(live_cluster, namespace=operator, offset=offset)
        if event["objectRef"]["resource"] != "leases" and event["objectRef"].get("namespace") in (namespace, operator)
    ]
    assert others == []
    assert live_cluster.server_pods(namespace=namespace) == before
    after = live_cluster.must_get("embeddingmodel", "minilm", namespace=namespace)
    assert after["metadata"]["resourceVersion"] == ready["metadata"]["resourceVersion"]


def kill_operator(cluster: LiveCluster, *, namespace: str) -> None:
    """kill -9 of every operator process on this machine, then wait until other processes run."""
    killed = set(operator_processes())
    assert killed, "the operator runs on this machine"
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    cluster.wait_for(
        "the operator's containers were started again",
        lambda: set(operator_processes()) - killed and not set(operator_processes()) & killed,
        seconds=180,
    )
