"""A node falls silent, or is deleted, while it serves: what the status says, who serves, and what comes back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from live_cluster import condition, is_true
from nodes_under_test import MODELS, SLICES, NodesWorld, Object, count_ready, names_of, nodes_of
from watched import Watched, watched

pytestmark = pytest.mark.apiserver

PODS = "/api/v1/namespaces/{}/pods"


# A user's own: longer than any test, so that Kubernetes leaves the pod where it is.
STAY = {
    "tolerations": [
        {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600}
        for taint in ("unreachable", "not-ready")
    ]
}


def serve_on_both(world: NodesWorld, *names: str, namespace: str, **spec: Any) -> Mapping[str, Object]:
    """Models with a pod on each node; by name, the pod on the last node."""
    first, last = world.rig.nodes
    world.cordon(last)
    for name in names:
        world.serve(name, namespace=namespace, replicas=1, **spec)
    world.uncordon(last)
    world.cordon(first)
    for name in names:
        world.cluster.kubectl("scale", f"em/{name}", "-n", namespace, "--replicas=2")
    for name in names:
        world.wait_ready(name, namespace=namespace, replicas=2)
    world.uncordon(first)
    on_last = [pod for pod in world.pods(namespace=namespace) if pod["spec"]["nodeName"] == last]
    return {pod["metadata"]["labels"]["embedding-operator.dev/model"]: pod for pod in on_last}


@dataclass
class Loss:
    """What happened to three models when the last node fell silent and, after that, came back.

    `pair` has a pod on each node, `patient` too, whose pods stay on a silent node; the only pod of `alone` is on the
    last one. `said` is the condition Reconciling of `pair` while the node was silent; the pods are those that were not
    being deleted, before the loss, when all was served without the node, and when it was back.
    """

    namespace: str
    lost: Mapping[str, Object]
    said: Object
    models: Watched
    slices: Watched
    before: Sequence[Object]
    without: Sequence[Object]
    after: Sequence[Object]
    lingered: Object
    made_after_return: set[str]


@pytest.fixture(scope="module")
def loss(session_world: NodesWorld) -> Iterator[Loss]:
    world, namespace = session_world, "a-node-is-lost"
    left, node = world.rig.nodes
    world.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    lost = {
        **serve_on_both(world, "pair", namespace=namespace),
        **serve_on_both(world, "patient", namespace=namespace, pod=STAY),
    }
    world.cordon(left)
    world.serve("alone", namespace=namespace, replicas=1)
    world.uncordon(left)
    before = world.pods(namespace=namespace)
    name = lost["pair"]["metadata"]["name"]
    with (
        watched(world.cluster, SLICES.format(namespace)) as slices,
        watched(world.cluster, MODELS.format(namespace)) as models,
        watched(world.cluster, PODS.format(namespace)) as pods,
    ):
        try:
            world.lose(node)
            said = world.wait_reason("pair", namespace=namespace, kind="Reconciling", reason="NodeLost")
            world.wait_reason("patient", namespace=namespace, kind="Reconciling", reason="NodeLost")
            world.wait_ready("pair", namespace=namespace, replicas=2)
            world.wait_ready("alone", namespace=namespace, replicas=1)
            without, made = world.pods(namespace=namespace), pods.uids()
            lingered = world.cluster.must_get("pod", name, namespace=namespace)
        finally:
            world.restore(node)
        world.operator.wait_for(
            "the pod of the lost node is gone", lambda: world.cluster.get("pod", name, namespace=namespace) is None
        )
        for model, replicas in (("pair", 2), ("patient", 2), ("alone", 1)):
            found = world.wait_ready(model, namespace=namespace, replicas=replicas)
            assert found["status"]["replicas"] == replicas
        after = world.pods(namespace=namespace)
        yield Loss(
            namespace=namespace,
            lost=lost,
            said=said,
            models=models,
            slices=slices,
            before=before,
            without=without,
            after=after,
            lingered=lingered,
            made_after_return=pods.uids() - made,
        )
    world.cluster.delete("namespace", namespace, namespace="default", wait=False)


def pods_of(pods: Sequence[Object], model: str) -> Sequence[Object]:
    return [pod for pod in pods if pod["metadata"]["labels"]["embedding-operator.dev/model"] == model]


def says_node_lost(model: Object) -> bool:
    found = condition(model, "Reconciling")
    return found is not None and found["reason"] == "NodeLost"


def test_the_status_says_which_node_is_lost_and_is_not_ready_meanwhile(world: NodesWorld, loss: Loss) -> None:
    assert loss.lost["pair"]["metadata"]["name"] in loss.said["message"]
    assert world.rig.nodes[-1] in loss.said["message"]
    for name in ("pair", "patient", "alone"):
        lacking = [state for state in loss.models.of(name) if says_node_lost(state)]
        assert lacking, name
        assert not any(is_true(state, "Ready") for state in lacking)


@pytest.mark.parametrize("name", ["pair", "patient"])
def test_the_pod_on_the_other_node_serves_at_every_moment(loss: Loss, name: str) -> None:
    assert all(is_true(state, "Available") for state in loss.models.of(name))
    states = [state for state in loss.slices.states if state["metadata"]["name"].startswith(f"{name}-")]
    assert min(count_ready(state) for state in states if state.get("endpoints")) >= 1


def test_a_model_without_any_other_pod_is_not_available_until_it_is_replaced(loss: Loss) -> None:
    turns = [is_true(state, "Available") for state in loss.models.of("alone")]
    assert turns[0]
    assert not all(turns)
    assert turns[-1]


def test_what_was_on_it_is_replaced_on_the_other_node(world: NodesWorld, loss: Loss) -> None:
    for name, count in (("pair", 2), ("alone", 1)):
        replaced = pods_of(loss.without, name)
        assert len(replaced) == count
        assert nodes_of(replaced) == {world.rig.nodes[0]}
    assert "deletionTimestamp" in loss.lingered["metadata"]


def test_nothing_is_doubled_when_it_is_back(loss: Loss) -> None:
    assert not loss.made_after_return
    assert names_of(loss.after) == names_of(loss.without)


def test_pods_that_stayed_serve_again_when_it_is_back(loss: Loss) -> None:
    assert names_of(pods_of(loss.after, "patient")) == names_of(pods_of(loss.before, "patient"))


@pytest.mark.soak  # Kubernetes waits 40 s before it gives up the pods of a node that is gone
def test_the_pod_of_a_deleted_node_is_replaced_on_the_other_one(world: NodesWorld, namespace: str) -> None:
    gone = serve_on_both(world, "pair", namespace=namespace)["pair"]
    left, node = world.rig.nodes
    with watched(world.cluster, SLICES.format(namespace)) as slices:
        world.lose(node)
        world.cluster.kubectl("delete", "node", node)
        world.wait_until_given_up(node)
        world.wait_ready("pair", namespace=namespace, replicas=2)
    pods = world.pods(namespace=namespace)
    assert nodes_of(pods) == {left}
    assert gone["metadata"]["name"] not in names_of(pods)
    assert min(count_ready(state) for state in slices.states if state.get("endpoints")) >= 1


def test_an_evicted_pod_is_replaced_and_no_longer_counted(world: NodesWorld, namespace: str) -> None:
    world.serve("alone", namespace=namespace, replicas=1)
    [evicted] = world.pods(namespace=namespace)
    with watched(world.cluster, MODELS.format(namespace)) as models:
        message = "The node was low on resource: memory."
        unready = {"type": "Ready", "status": "False", "reason": "PodFailed"}
        status = {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": [unready]}
        world.write_pod_status(evicted, status=status)
        world.operator.wait_for(
            "the status tells of it", lambda: any(not is_true(state, "Ready") for state in models.of("alone"))
        )
        found = world.wait_ready("alone", namespace=namespace, replicas=1)
    assert found["status"]["replicas"] == 1
    [pod] = world.pods(namespace=namespace)
    assert pod["metadata"]["name"] != evicted["metadata"]["name"]
    assert (
        world.cluster.must_get("pod", evicted["metadata"]["name"], namespace=namespace)["status"]["phase"] == "Failed"
    )
