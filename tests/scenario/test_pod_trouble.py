"""Trouble of a pod reaches the model's conditions, and goes when its cause goes."""

import json

import pytest
from model_samples import hub_spec
from simulated_cluster import SimulatedCluster

from embedding_operator.kube.gateway import DEPLOYMENT
from embedding_operator.reconcile.outcome import Done, Stalled

UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
    ],
}
HASH = json.dumps({"reason": "HashMismatch", "message": "model.safetensors: expected sha256 aa, found bb"})
MISMATCH = {
    "phase": "Pending",
    "initContainerStatuses": [
        {
            "name": "fetch",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": HASH}},
        }
    ],
}


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [(UNSCHEDULABLE, "Reconciling", "InsufficientCapacity"), (MISMATCH, "Stalled", "HashMismatch")],
)
async def test_trouble_is_copied_up_and_heals(cluster: SimulatedCluster, status: dict, kind: str, reason: str) -> None:  # type: ignore[type-arg]
    cluster.trouble = lambda pod: status
    cluster.create_model(hub_spec())
    assert await cluster.settle() == (Stalled(reason) if kind == "Stalled" else Done())
    assert cluster.says("Ready") == ("False", reason)
    assert cluster.says(kind) == ("True", reason)
    assert cluster.says("Available") == ("False", "NotAvailable")
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.condition(kind) is None


async def test_trouble_of_new_pods_leaves_the_old_ones_available(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old = cluster.ready_pods()
    cluster.trouble = lambda pod: None if pod["metadata"]["name"] in old else UNSCHEDULABLE
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"nvidia.com/gpu": 1}}))
    await cluster.settle()
    assert cluster.ready_pods() == old
    assert cluster.says("Ready") == ("False", "InsufficientCapacity")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_pods_that_a_quota_refuses_are_reported_in_the_api_servers_words(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.reconcile()
    words = 'pods "tiny" is forbidden: exceeded quota: small'
    name = cluster.all(DEPLOYMENT)[0]["metadata"]["name"]
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": words}
    status = {"observedGeneration": 1, "conditions": [failure]}
    cluster.gateway.edit(DEPLOYMENT, lambda item: item.update(status=status), namespace="search", name=name)
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "QuotaExceeded")
    assert words in cluster.condition("Reconciling")["message"]  # type: ignore[index]
