"""What the user and autoscalers do in the middle of a move: scale, scale to nothing, suspend, change their mind."""

from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import GateState, GoldensReport
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, POD
from embedding_operator.reconcile.outcome import Done


def _space(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"][names.LABEL_SPACE])


def _ready(cluster: SimulatedCluster, *, space: str) -> int:
    ready = cluster.ready_pods()
    return sum(pod["metadata"]["name"] in ready and _space(pod) == space for pod in cluster.pods())


async def _begin_move(cluster: SimulatedCluster, *, replicas: int) -> tuple[str, str]:
    """A move to another space whose pods do not start yet: the space that serves, and the one to come."""
    cluster.create_model(hub_spec(replicas=replicas))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.trouble = lambda pod: None if _space(pod) == old else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    new = next(space for space in cluster.replicas() if space != old)
    assert cluster.replicas() == {old: replicas, new: replicas}
    return old, new


async def test_scaling_up_in_the_middle_counts_for_both_and_the_move_waits_for_all(cluster: SimulatedCluster) -> None:
    """As `kubectl scale` and an autoscaler do it: through spec.replicas."""
    old, new = await _begin_move(cluster, replicas=2)
    cluster.edit_spec(lambda spec: spec.update(replicas=4))
    await cluster.settle()
    assert cluster.replicas() == {old: 4, new: 4}
    assert _ready(cluster, space=old) == 4
    cluster.trouble = lambda pod: None
    for _ in range(12):
        await cluster.reconcile()
        if cluster.selected_space() == new:
            break
        cluster.step()
    assert _ready(cluster, space=new) == 4
    assert await cluster.settle() == Done()
    assert cluster.replicas() == {old: 0, new: 4}


async def test_scaling_down_in_the_middle_is_enough_for_the_move(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster, replicas=3)
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    cluster.trouble = lambda pod: None
    assert await cluster.settle() == Done()
    assert cluster.replicas() == {old: 0, new: 1}
    assert cluster.selected_space() == new


async def test_scaling_to_zero_in_the_middle_moves_to_nothing_unverified(cluster: SimulatedCluster) -> None:
    """Whoever scales up again is served by what was verified, until the new pods are, too."""
    old, new = await _begin_move(cluster, replicas=1)
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "ScaledToZero")
    assert cluster.selected_space() == old
    assert cluster.replicas() == {old: 0, new: 0}
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    cluster.trouble = lambda pod: None
    assert await cluster.settle() == Done()
    assert cluster.selected_space() == new


async def test_another_space_asked_for_at_zero_replicas_waits_for_pods_to_verify(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"), reference="Off")))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4), reference="Off")
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()
    assert cluster.selected_space() == old
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.selected_space() == old


async def test_a_suspended_move_stands_still_and_goes_on_afterwards(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster, replicas=1)
    cluster.edit_spec(lambda spec: spec.update(suspend=True))
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.selected_space() == old
    assert cluster.replicas() == {old: 1, new: 1}
    cluster.edit_spec(lambda spec: spec.update(suspend=False))
    assert await cluster.settle() == Done()
    assert cluster.selected_space() == new


async def test_a_change_taken_back_before_the_move_leaves_the_old_pods_alone(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster, replicas=2)
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    assert await cluster.settle() == Done()
    assert cluster.replicas() == {old: 2, new: 0}
    assert cluster.ready_pods() == pods


async def test_going_back_after_the_move_computes_and_resolves_nothing_anew(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    new, config_maps = cluster.selected_space(), cluster.all(CONFIG_MAP)
    uids = {item["metadata"]["name"]: item["metadata"]["uid"] for item in cluster.all(DEPLOYMENT)}
    cluster.facts.resolutions.clear()
    cluster.facts.resolutions_requested.clear()
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    for _ in range(12):
        await cluster.reconcile()
        assert len(cluster.ready_pods()) >= 2
        if cluster.selected_space() == old:
            break
        cluster.step()
    assert _ready(cluster, space=old) == 2, "the Service moves back only through the gate"
    await cluster.settle()
    assert cluster.replicas() == {old: 2, new: 0}
    assert cluster.facts.resolutions_requested == []
    assert {item["metadata"]["name"] for item in cluster.all(CONFIG_MAP)} == {
        item["metadata"]["name"] for item in config_maps
    }
    assert {item["metadata"]["name"]: item["metadata"]["uid"] for item in cluster.all(DEPLOYMENT)} == uids


async def test_old_pods_go_only_when_no_endpoint_lists_them_and_they_were_told_to_retire(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old = cluster.selected_space()
    leaving = {pod["metadata"]["uid"] for pod in cluster.pods()}
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    order = []
    for _ in range(20):
        await cluster.reconcile()
        listed = {
            item["targetRef"]["name"] for part in cluster.all(ENDPOINT_SLICE) for item in part.get("endpoints") or ()
        }
        still_listed = {pod["metadata"]["name"] for pod in cluster.pods() if _space(pod) == old} & listed
        asked, told = cluster.facts.retirements_requested, cluster.facts.retired_pods
        if asked:
            assert cluster.selected_space() != old
            assert not still_listed, "a pod that still gets requests was told to retire"
            assert asked <= leaving
        if cluster.replicas()[old] == 0:
            assert told >= leaving, "a pod went before it was told to retire"
        order.append((cluster.selected_space() == old, bool(asked), cluster.replicas()[old]))
        cluster.step()
    assert order[0] == (True, False, 2)
    assert (False, True, 2) in order, "nobody waited for the pods to be told"
    assert order[-1] == (False, True, 0)


async def test_while_old_pods_are_told_to_retire_the_status_says_that_the_service_moves(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    said = set()
    for _ in range(12):
        await cluster.reconcile()
        if cluster.selected_space() != old:
            said.add((cluster.says("Ready"), cluster.says("Available")))
        cluster.step()
    assert (("False", "MovingService"), ("True", "MinimumAvailable")) in said


async def test_pods_of_before_that_are_not_ready_make_nobody_wait(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    cluster.trouble = lambda pod: {"phase": "Pending"} if _space(pod) == old else None
    await cluster.settle()
    assert cluster.replicas()[old] == 0
    assert cluster.facts.retirements_requested == set()


@pytest.mark.parametrize("steps", range(9))
async def test_an_operator_that_forgot_everything_in_the_middle_ends_where_it_would_have(
    cluster: SimulatedCluster, steps: int
) -> None:
    """A restart loses what pods were told; everything else is read off the cluster."""
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    for _ in range(steps):
        await cluster.reconcile()
        cluster.step()
    cluster.facts.retirements_requested.clear()
    cluster.facts.retired_pods.clear()
    assert await cluster.settle() == Done()
    assert cluster.replicas() == {old: 0, cluster.selected_space(): 2}
    assert {_space(pod) for pod in cluster.all(POD)} == {cluster.selected_space()}
    assert cluster.find(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=old)) is not None


@pytest.mark.parametrize("has_said_so", [True, False])
async def test_a_pod_that_ends_its_connections_and_serves_again_is_told_to_keep_them(
    cluster: SimulatedCluster, has_said_so: bool
) -> None:
    """The Service came back to it, or it was told by mistake: what it should do is told whenever it reports another."""
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden())))
    await cluster.settle()
    told, _ = (pod["metadata"]["uid"] for pod in cluster.pods())
    report = cluster.facts.reports[told]
    cluster.facts.reports[told] = report.model_copy(update={"retired": has_said_so})
    cluster.facts.retired_pods.add(told)
    await cluster.reconcile()
    assert cluster.facts.recalls_requested == {told}
    cluster.facts.recalls_requested.clear()
    cluster.facts.reports[told] = report
    await cluster.settle()
    assert (cluster.facts.recalls_requested, cluster.facts.retirements_requested) == (set(), set())


async def test_a_restarted_operator_tells_no_pod_to_retire_that_does_already(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    serving = cluster.selected_space()
    [pod] = cluster.pods()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    for _ in range(100):
        if cluster.facts.retirements_requested:
            break
        await cluster.reconcile()
        cluster.step()
    assert cluster.selected_space() != serving
    uid = pod["metadata"]["uid"]
    cluster.facts.reports[uid] = GoldensReport(
        boot_id="boot",
        case_set="cs-none",
        state=GateState.PASSED,
        space=serving,
        revision="r",
        device="cpu",
        dtype="float32",
        retired=True,
    )
    cluster.facts.retirements_requested.clear()
    cluster.facts.retired_pods.clear()
    await cluster.reconcile()
    assert cluster.facts.retirements_requested == set()
    assert cluster.facts.recalls_requested == set()
