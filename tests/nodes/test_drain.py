"""`kubectl drain` on a node that serves: what the budget lets go, what clients still have, what the status says."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from live_cluster import is_true
from nodes_under_test import MODELS, SLICES, NodesWorld, Object, count_ready, names_of, nodes_of
from responding_pods import Fault
from watched import watched

pytestmark = pytest.mark.apiserver


def count_turns(states: Sequence[Object]) -> int:
    """How often Ready changed from one state to the next."""
    return sum(is_true(before, "Ready") != is_true(after, "Ready") for before, after in pairwise(states))


def test_the_only_pod_moves_to_another_node_through_the_gate(world: NodesWorld, namespace: str) -> None:
    world.serve("moving", namespace=namespace, replicas=1)
    assert world.cluster.get("poddisruptionbudget", "moving", namespace=namespace) is None
    [before] = world.pods(namespace=namespace)
    verdicts = world.responder.answered["POST /verdict"]
    with watched(world.cluster, MODELS.format(namespace)) as models:
        world.drain(before["spec"]["nodeName"])
        world.operator.wait_for("the status tells of it", lambda: count_turns(models.of("moving")) == 2)
    [after] = world.pods(namespace=namespace)
    assert nodes_of([after]) == set(world.rig.nodes) - nodes_of([before])
    assert world.responder.answered["POST /verdict"] > verdicts
    for state in models.of("moving"):
        assert is_true(state, "Available") or not is_true(state, "Ready")
        assert state["status"].get("readyReplicas") == 1 or not is_true(state, "Ready")
    assert any(not is_true(state, "Available") for state in models.of("moving"))


def test_of_two_pods_one_goes_at_a_time_and_one_serves_at_every_moment(world: NodesWorld, namespace: str) -> None:
    drained, other = world.rig.nodes
    world.cordon(other)
    world.serve("pair", namespace=namespace, replicas=2)
    before = world.pods(namespace=namespace)
    assert nodes_of(before) == {drained}
    world.uncordon(other)
    with watched(world.cluster, SLICES.format(namespace)) as slices:
        world.drain(drained)
        world.wait_ready("pair", namespace=namespace, replicas=2)
    after = world.pods(namespace=namespace)
    assert nodes_of(after) == {other}
    assert not names_of(before) & names_of(after)
    serving = [count_ready(state) for state in slices.states if state.get("endpoints")]
    assert min(serving) >= 1
    assert max(serving) <= 2


def test_pods_that_fail_their_golden_cases_do_not_hold_a_drain_up(world: NodesWorld, namespace: str) -> None:
    drained, other = world.rig.nodes
    world.cordon(other)
    world.serve("wrong", namespace=namespace, replicas=2, verification={"reference": "Auto"})
    before = world.pods(namespace=namespace)
    world.responder.faults[f"{namespace}/wrong"] = Fault.WRONG
    world.wait_reason("wrong", namespace=namespace, kind="Stalled", reason="GoldenMismatch")
    world.uncordon(other)
    world.drain(drained)

    def replaced() -> bool:
        pods = world.pods(namespace=namespace)
        return len(pods) == 2 and nodes_of(pods) == {other}

    world.operator.wait_for("both pods are on the other node", replaced)
    assert not names_of(before) & names_of(world.pods(namespace=namespace))


def test_a_reference_that_is_being_computed_is_computed_elsewhere(world: NodesWorld, namespace: str) -> None:
    world.responder.faults[f"{namespace}/drained"] = Fault.SILENT
    world.apply("drained", namespace=namespace, verification={"reference": "Auto"})

    def computing() -> Sequence[Object]:
        """Pods of the Job that run."""
        label = "embedding-operator.dev/component=reference"
        pods = world.cluster.list("pods", namespace=namespace, labels=label)
        return [pod for pod in pods if pod["status"]["phase"] == "Running"]

    [before] = world.operator.wait_for("the reference is being computed", computing)
    [node] = nodes_of([before])
    world.drain(node)
    [after] = world.operator.wait_for("it is being computed again", computing)
    assert nodes_of([after]) == set(world.rig.nodes) - {node}
    world.responder.faults.clear()
    found = world.wait_ready("drained", namespace=namespace)
    assert found["status"]["verification"]["source"] == "Reference"
