"""In the middle of a move, hands delete or edit what serves: what served last stays what serves."""

from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT, POD, SERVICE

REPLACE = {"strategy": "Replace"}


async def _begin_move(cluster: SimulatedCluster, **parts: Any) -> tuple[str, str]:
    """To a space whose pods never answer rightly; the spaces from and to which."""
    cluster.create_model(hub_spec(verification=verified_by(golden("paris")), **parts))
    await cluster.settle()
    old = cluster.selected_space()
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.selected_space() == old
    [new] = cluster.replicas().keys() - {old}
    return old, new


def _delete_deployment(cluster: SimulatedCluster, space: str, *, orphans: bool) -> None:
    name = names.deployment_name(KEY.name, fingerprint=space)
    for pod in cluster.pods():
        if pod["metadata"]["name"].startswith(f"{name}-") and not orphans:  # as the garbage collector does
            cluster.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])
    cluster.take_away(DEPLOYMENT, name)


def _say_unready(cluster: SimulatedCluster, *, space: str) -> None:
    for pod in cluster.pods():
        if pod["metadata"]["labels"][names.LABEL_SPACE] == space:
            cluster.gateway.edit(POD, _become_unready, namespace=KEY.namespace, name=pod["metadata"]["name"])


def _become_unready(pod: dict[str, Any]) -> None:
    for condition in pod["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"


@pytest.mark.parametrize("orphans", [False, True], ids=["with-pods", "orphaning-pods"])
async def test_its_deployment_comes_back_and_serves(cluster: SimulatedCluster, orphans: bool) -> None:
    old, new = await _begin_move(cluster, replicas=2)
    before = cluster.find(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=old))
    assert before is not None
    _delete_deployment(cluster, old, orphans=orphans)
    await cluster.reconcile()
    assert cluster.selected_space() == old
    await cluster.settle()
    assert cluster.selected_space() == old
    assert cluster.replicas() == {old: 2, new: 2}
    after = cluster.find(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=old))
    assert after is not None
    assert after["spec"]["template"] == before["spec"]["template"]
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.status()["space"] == {"fingerprint": old, "pending": new}


async def test_its_deployment_comes_back_without_pods_in_the_gap_of_a_replace(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster, rollout=REPLACE)
    _delete_deployment(cluster, old, orphans=False)
    await cluster.settle()
    assert cluster.replicas() == {old: 0, new: 1}
    assert cluster.says("Available") == ("False", "Replacing")
    cluster.edit_spec(lambda spec: spec.update(embedding={}, verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.selected_space() == old
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_service_deleted_in_the_gap_of_a_replace_comes_back_as_it_was(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster, rollout=REPLACE)
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    for _ in range(3):
        await cluster.reconcile()
        assert cluster.selected_space() == old
        assert cluster.replicas() == {old: 0, new: 1}
        assert cluster.status()["space"] == {"fingerprint": old, "pending": new}
    assert cluster.says("Available") == ("False", "Replacing")


async def test_a_service_deleted_while_there_are_no_pods_comes_back_as_it_was(cluster: SimulatedCluster) -> None:
    old, new = await _begin_move(cluster)
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert cluster.selected_space() == old
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.replicas() == {old: 1, new: 1}
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_a_service_deleted_while_its_pods_are_unready_for_a_moment_comes_back_as_it_was(
    cluster: SimulatedCluster,
) -> None:
    old, new = await _begin_move(cluster)
    _say_unready(cluster, space=old)
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    for _ in range(2):
        await cluster.reconcile()
        assert cluster.selected_space() == old
        assert cluster.replicas() == {old: 1, new: 1}
        assert cluster.status()["space"] == {"fingerprint": old, "pending": new}


async def test_it_outlives_generations_that_fail_after_it_without_its_service(cluster: SimulatedCluster) -> None:
    old, _ = await _begin_move(cluster, rollout=REPLACE)
    for dimensions in (5, 6, 7):
        cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
        verification = verified_by(golden("cut", dimensions=dimensions))
        change = {"embedding": {"dimensions": dimensions}, "verification": verification}
        cluster.edit_spec(lambda spec, change=change: spec.update(change))
        await cluster.settle()
        assert cluster.selected_space() == old
    assert old in cluster.replicas()


def _ask_for(cluster: SimulatedCluster, *, dimensions: int) -> None:
    verification = verified_by(golden("cut", dimensions=dimensions))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": dimensions}, verification=verification))


async def test_it_outlives_generations_that_never_served_once_another_one_serves(cluster: SimulatedCluster) -> None:
    old, _ = await _begin_move(cluster)
    _ask_for(cluster, dimensions=5)
    await cluster.settle()
    cluster.wrong.clear()
    _ask_for(cluster, dimensions=6)
    await cluster.settle()
    now = cluster.selected_space()
    assert now != old
    assert cluster.replicas()[old] == 0
    assert cluster.status()["space"] == {"fingerprint": now, "previous": [old]}
    cluster.edit_spec(lambda spec: spec.update(embedding={}, verification=verified_by(golden("paris"))))
    await cluster.settle()
    assert cluster.status()["space"] == {"fingerprint": old, "previous": [now]}


async def test_it_outlives_generations_that_are_newer_and_served_before_it(cluster: SimulatedCluster) -> None:
    spaces = []
    cluster.create_model(hub_spec())
    for dimensions in (7, 6, 5, 7, 4):
        _ask_for(cluster, dimensions=dimensions)
        await cluster.settle()
        spaces.append(cluster.selected_space())
    first, _, third, again, now = spaces
    assert again == first
    assert cluster.replicas() == {now: 1, first: 0, third: 0}
    assert cluster.status()["space"] == {"fingerprint": now, "previous": [first, third]}


async def test_what_a_hand_deleted_of_those_that_served_is_told_no_more(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    spaces = []
    for dimensions in (7, 6, 5):
        _ask_for(cluster, dimensions=dimensions)
        await cluster.settle()
        spaces.append(cluster.selected_space())
    first, second, now = spaces
    _delete_deployment(cluster, second, orphans=False)
    await cluster.settle()
    assert cluster.status()["space"] == {"fingerprint": now, "previous": [first]}


async def test_a_selector_edited_to_a_space_that_is_not_approved_is_set_back_though_no_pod_is_ready(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    approved = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=approved, embedding={"dimensions": 4}))
    await cluster.settle()
    pending = cluster.status()["space"]["pending"]
    _say_unready(cluster, space=approved)
    cluster.point_service(pending)
    await cluster.reconcile()
    assert cluster.selected_space() == approved
    assert cluster.status()["space"] == {"fingerprint": approved, "pending": pending}
