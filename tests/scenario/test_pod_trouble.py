"""Trouble of a pod reaches the model's conditions, and goes when its cause goes."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import SimulatedCluster
from simulated_objects import KEY
from simulated_pods import Status

from embedding_model.ports import GoldensReport, Progress
from embedding_operator.kube.gateway import DEPLOYMENT
from embedding_operator.observe.facts import PodRef
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
TAINTED = "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}."
UNTOLERATED = {**UNSCHEDULABLE, "conditions": [{**UNSCHEDULABLE["conditions"][0], "message": TAINTED}]}  # type: ignore[dict-item]
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
    [
        (UNSCHEDULABLE, "Reconciling", "InsufficientCapacity"),
        (UNTOLERATED, "Reconciling", "Unschedulable"),
        (MISMATCH, "Stalled", "HashMismatch"),
    ],
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


async def test_a_correction_needs_no_spare_device_where_nothing_has_served(cluster: SimulatedCluster) -> None:
    """One device: a pod gets it only while no other pod exists."""
    cluster.trouble = lambda pod: (
        UNSCHEDULABLE if cluster.pods()[0]["metadata"]["name"] != pod["metadata"]["name"] else None
    )
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.ready_pods() == set()
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by()))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


def max_unavailable(cluster: SimulatedCluster) -> object:
    return cluster.all(DEPLOYMENT)[0]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]


async def test_once_a_pod_was_ready_it_stays_until_another_one_is(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert max_unavailable(cluster) == 0
    cluster.trouble = lambda pod: {"phase": "Running"}
    await cluster.settle()
    assert (cluster.ready_pods(), max_unavailable(cluster)) == (set(), 0)
    cluster.edit_spec(lambda spec: spec.update(pod={"nodeSelector": {"disk": "fast"}}))
    await cluster.reconcile()
    assert max_unavailable(cluster) == 0, "it may be ready again in a moment"
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    assert max_unavailable(cluster) == "100%"
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert max_unavailable(cluster) == "100%", "none of them has been ready since"


async def test_pods_that_were_never_ready_go_with_the_next_template_and_not_before(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: {"phase": "Running"}
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert max_unavailable(cluster) == 0
    cluster.edit_spec(lambda spec: spec.update(pod={"nodeSelector": {"disk": "fast"}}))
    await cluster.reconcile()
    assert max_unavailable(cluster) == "100%", "the same write that changes the template lets them go"
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert len(cluster.ready_pods()) == 1
    assert max_unavailable(cluster) == 0


async def test_pods_that_were_never_ready_go_when_a_hand_restarts_them(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: {"phase": "Running"}
    cluster.create_model(hub_spec())
    await cluster.settle()
    (before,) = cluster.pods()

    def restart(item: dict[str, Any]) -> None:
        annotations = item["spec"]["template"]["metadata"].setdefault("annotations", {})
        annotations["kubectl.kubernetes.io/restartedAt"] = "2026-03-01T12:30:00Z"

    name = cluster.all(DEPLOYMENT)[0]["metadata"]["name"]
    cluster.gateway.edit(DEPLOYMENT, restart, namespace=KEY.namespace, name=name)
    await cluster.settle()
    (after,) = cluster.pods()
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert max_unavailable(cluster) == "100%"


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory", "podIP": "10.0.0.1"}


async def test_an_evicted_pod_that_lingers_is_neither_asked_nor_today_s_trouble(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    (pod,) = cluster.pods()
    pod["metadata"] = {**pod["metadata"], "name": f"{pod['metadata']['name']}-gone", "uid": "gone"}
    cluster.gateway.put({**pod, "status": EVICTED})
    asked = _record_questions(cluster)
    await cluster.reconcile()
    assert [ref.ip for ref in asked if ref.name.endswith("-gone")] == [""]
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_generation_without_any_other_pod_says_that_its_pod_was_evicted(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: EVICTED
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "PodFailed")


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [{"kind": "ReplicaSet", "name": "other-5f", "uid": "x", "controller": True}],
        [{"kind": "ReplicaSet", "name": "tiny-", "uid": "x", "controller": False}],
        [{"kind": "Job", "name": "tiny-i0", "uid": "x", "controller": True}],
    ],
)
async def test_a_pod_that_only_carries_our_labels_is_never_asked(cluster: SimulatedCluster, owners: list) -> None:  # type: ignore[type-arg]
    cluster.create_model(hub_spec())
    await cluster.settle()
    (pod,) = cluster.pods()
    pod["metadata"] = {**pod["metadata"], "name": "stranger", "uid": "stranger", "ownerReferences": owners}
    cluster.gateway.put(pod)
    asked = _record_questions(cluster)
    await cluster.reconcile()
    assert len(asked) == 1
    assert "stranger" not in {ref.name for ref in asked}


def _record_questions(cluster: SimulatedCluster) -> list[PodRef]:
    asked: list[PodRef] = []
    answer = cluster.facts.goldens

    def ask(pod: PodRef) -> GoldensReport | None:
        asked.append(pod)
        return answer(pod)

    cluster.facts.goldens = ask  # type: ignore[method-assign]
    return asked


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


async def test_a_download_says_how_far_the_slowest_pod_is(cluster: SimulatedCluster) -> None:
    fetching = {"name": "fetch", "state": {"running": {}}}
    cluster.trouble = lambda pod: {"phase": "Pending", "podIP": "10.0.0.1", "initContainerStatuses": [fetching]}
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "Downloading")
    for pod, done in zip(cluster.pods(), (4_000_000_000, 1_200_000_000), strict=True):
        progress = Progress(files=12, files_done=3, bytes=4_800_000_000, bytes_done=done)
        cluster.facts.fetches[pod["metadata"]["uid"]] = progress
    await cluster.settle()
    message = cluster.condition("Reconciling")["message"]  # type: ignore[index]
    assert message.endswith("; fetched 1.2 of 4.8 GB, 3 of 12 files")


async def test_a_pod_whose_node_answers_no_more_is_said_to_be_lost_with_it(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    lost = min(cluster.ready_pods())
    since = {"lastTransitionTime": "2026-03-01T12:30:00Z"}

    def lose(pod: Mapping[str, Any]) -> Status | None:
        """As the node lifecycle controller writes it: Ready alone, and no reason."""
        if pod["metadata"]["name"] != lost:
            return None
        ready = {"type": "Ready", "status": "False", **since}
        return {**pod["status"], "conditions": [ready, {"type": "ContainersReady", "status": "True"}]}

    cluster.trouble = lose
    await cluster.settle()
    assert cluster.says("Ready") == ("False", "NodeLost")
    assert cluster.says("Reconciling") == ("True", "NodeLost")
    assert lost in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_pod_that_its_own_kubelet_calls_unready_is_not_lost(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    ready = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"}
    conditions = [ready, {"type": "ContainersReady", "status": "True"}]
    cluster.trouble = lambda pod: {**pod["status"], "conditions": conditions}
    await cluster.settle()
    assert cluster.says("Reconciling") != ("True", "NodeLost")
    assert cluster.says("Ready") != ("True", "Serving")


async def test_a_config_map_of_public_keys_that_is_missing_is_named_with_its_key(cluster: SimulatedCluster) -> None:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T11:00:00Z"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    cluster.trouble = lambda pod: {"phase": "Pending", "conditions": conditions}
    jwt = {"jwksConfigMapRef": {"name": "login"}, "audiences": ["search"], "issuer": "https://login.example.com/"}
    cluster.create_model(hub_spec(auth={"jwt": jwt}))
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "JwksConfigMapNotFound")
    assert 'key jwks.json of ConfigMap "login"' in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_pods_that_are_added_to_ready_ones_are_a_rollout(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before = cluster.ready_pods()
    cluster.trouble = lambda pod: None if pod["metadata"]["name"] in before else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(replicas=2))
    await cluster.settle()
    assert cluster.says("Ready") == ("False", "RollingOut")
    assert cluster.says("Reconciling") == ("True", "RollingOut")
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
