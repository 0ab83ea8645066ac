"""One vector space per Service: another space is another generation, and the Service moves as a whole."""

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, EVENT, SERVICE


def _ready_by_space(cluster: SimulatedCluster) -> dict[str, int]:
    ready = cluster.ready_pods()
    counts: dict[str, int] = {}
    for pod in cluster.pods():
        space = pod["metadata"]["labels"][names.LABEL_SPACE]
        counts[space] = counts.get(space, 0) + (pod["metadata"]["name"] in ready)
    return counts


async def _set_dimensions(cluster: SimulatedCluster, dimensions: int) -> str:
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": dimensions}))
    await cluster.settle()
    return cluster.selected_space()


async def test_the_service_moves_only_to_as_many_ready_pods_as_are_asked_for(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=3))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    moved = False
    for _ in range(20):
        await cluster.reconcile()
        selected = cluster.selected_space()
        if selected != old and not moved:
            moved = True
            assert _ready_by_space(cluster) == {old: 3, selected: 3}
        slices = cluster.all(ENDPOINT_SLICE)
        listed = {item["targetRef"]["name"] for part in slices for item in part["endpoints"]}
        assert listed <= {pod["metadata"]["name"] for pod in cluster.pods()}, "a listed pod was taken away"
        assert len(cluster.ready_pods()) >= 3
        cluster.step()
    assert moved
    await cluster.settle()
    assert cluster.replicas() == {old: 0, cluster.selected_space(): 3}
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["space"] == {"fingerprint": cluster.selected_space(), "previous": [old]}
    assert "ServiceMoved" in {event["reason"] for event in cluster.all(EVENT)}


async def test_a_new_space_that_fails_leaves_the_old_one_serving(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"))))
    await cluster.settle()
    old, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()
    assert cluster.selected_space() == old
    assert cluster.ready_pods() == pods
    assert cluster.says("Ready") == ("False", "GoldenMismatch")
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    space = cluster.status()["space"]
    assert space["fingerprint"] == old
    assert space["pending"] != old


async def test_the_way_back_needs_nothing_but_pods(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    first = cluster.selected_space()
    template = next(item for item in cluster.all(DEPLOYMENT))["spec"]["template"]
    second = await _set_dimensions(cluster, 4)
    assert second != first
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    assert cluster.selected_space() == first
    assert cluster.replicas() == {first: 1, second: 0}
    back = cluster.find(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=first))
    assert back is not None
    assert back["spec"]["template"] == template


async def test_two_retired_generations_are_kept_and_older_ones_go_with_their_config_maps(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    spaces = [cluster.selected_space()]
    for dimensions in (7, 6, 5):
        spaces.append(await _set_dimensions(cluster, dimensions))
    assert cluster.replicas() == {spaces[1]: 0, spaces[2]: 0, spaces[3]: 1}
    kept = {item["metadata"]["labels"].get(names.LABEL_SPACE) for item in cluster.all(CONFIG_MAP)}
    assert kept == {None, *spaces[1:]}


async def test_a_generation_that_never_served_makes_way_at_once(cluster: SimulatedCluster) -> None:
    """It may hold the only device."""
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    failed = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verified_by()))
    await cluster.reconcile()
    assert cluster.selected_space() != failed
    await cluster.settle()
    assert cluster.replicas() == {failed: 0, cluster.selected_space(): 1}
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_serving_pod_that_is_unready_for_a_moment_during_a_rollout_keeps_the_service(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    old, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.trouble = lambda pod: None if pod["metadata"]["name"] in pods else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    cluster.trouble = lambda pod: {"phase": "Running" if pod["metadata"]["name"] in pods else "Pending"}
    cluster.step()
    assert cluster.ready_pods() == set()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.selected_space() == old
    assert cluster.replicas()[old] == 1


async def test_a_generation_that_always_failed_has_not_served_because_it_was_scaled_to_nothing(
    cluster: SimulatedCluster,
) -> None:
    """Both would get pods, and the failing one could hold the only device."""
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    failed = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verified_by(), replicas=1))
    await cluster.reconcile()
    assert cluster.selected_space() != failed
    await cluster.settle()
    assert cluster.replicas()[failed] == 0
    assert cluster.says("Ready") == ("True", "Serving")


async def test_while_nobody_knows_what_is_asked_for_a_space_that_comes_up_stays(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    old = cluster.selected_space()
    cluster.trouble = lambda pod: None if pod["metadata"]["labels"][names.LABEL_SPACE] == old else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    before = cluster.replicas()
    assert sorted(before.values()) == [1, 1]
    cluster.edit_spec(lambda spec: spec.update(model={}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidSpec")
    assert cluster.replicas() == before


async def test_a_service_deleted_in_the_middle_of_a_move_comes_back_where_pods_are_ready(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.trouble = lambda pod: None if pod["metadata"]["labels"][names.LABEL_SPACE] == old else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert cluster.selected_space() == old
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.selected_space() != old


async def test_a_selector_edited_by_hand_to_pods_that_are_not_verified_yet_is_set_back(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    old, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.trouble = lambda pod: None if pod["metadata"]["labels"][names.LABEL_SPACE] == old else {"phase": "Pending"}
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    new = next(space for space in cluster.replicas() if space != old)
    cluster.point_service(new)
    await cluster.reconcile()
    assert cluster.selected_space() == old
    assert cluster.status()["space"]["fingerprint"] == old
    await cluster.settle()
    assert cluster.ready_pods() == pods


async def test_a_selector_edited_by_hand_to_a_space_that_is_not_approved_is_set_back(cluster: SimulatedCluster) -> None:
    """Its pods are verified and ready; what is missing is the user's word in spec.space."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    approved = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=approved, embedding={"dimensions": 4}))
    await cluster.settle()
    pending = cluster.status()["space"]["pending"]
    cluster.point_service(pending)
    await cluster.reconcile()
    assert cluster.selected_space() == approved
    assert cluster.status()["space"] == {"fingerprint": approved, "pending": pending}
    await cluster.settle()
    assert cluster.replicas() == {approved: 1, pending: 1}


@pytest.mark.parametrize("space", ["sp1-" + "0" * 32, "retired"])
async def test_a_selector_edited_by_hand_to_no_pods_at_all_is_set_back(cluster: SimulatedCluster, space: str) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    retired = cluster.selected_space()
    serving = await _set_dimensions(cluster, 4)
    cluster.point_service(retired if space == "retired" else space)
    await cluster.reconcile()
    assert cluster.selected_space() == serving
    await cluster.settle()
    assert cluster.replicas() == {retired: 0, serving: 1}


async def test_a_foreign_object_with_the_name_of_a_space_s_own_service_is_named_and_never_touched(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    serving = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    name = names.pending_service_name(KEY.name, fingerprint=cluster.selected_space())
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    metadata = {"namespace": KEY.namespace, "name": name}
    foreign = cluster.gateway.put({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}})
    cluster.edit_spec(lambda spec: spec.update(space=serving, embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.find(SERVICE, name) == foreign
    assert cluster.says("Stalled") == ("True", "Conflict")
    assert f"Service {name}" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.selected_space() == serving
