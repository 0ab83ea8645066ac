"""What another manager applies is reported and not fought over; what a hand changed is restored."""

from typing import Any

import pytest
from faulty_gateway import FaultyGateway, Refuse
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    Conflict,
    FieldConflict,
    HeldField,
    Kind,
)
from embedding_operator.reconcile.outcome import Wait


def _fields(cluster: SimulatedCluster, kind: Kind, **fields: Any) -> dict[str, Any]:
    """A manifest that states these fields of the only object of its kind, and nothing else."""
    [live] = cluster.all(kind)
    metadata = {"namespace": KEY.namespace, "name": live["metadata"]["name"]}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}


def _message(cluster: SimulatedCluster) -> str:
    condition = cluster.condition("Reconciling")
    assert condition is not None
    return str(condition["message"])


async def test_a_field_that_another_manager_applies_is_reported_and_left_until_it_is_given_up(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    cluster.gateway.apply_as("argocd-controller", manifest=_fields(cluster, DEPLOYMENT, spec={"replicas": 3}))
    outcome = await cluster.settle()
    assert outcome == Wait(60.0, "FieldConflict")
    assert cluster.says("Ready") == ("False", "FieldConflict")
    assert cluster.says("Reconciling") == ("True", "FieldConflict")
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    [deployment] = cluster.all(DEPLOYMENT)
    assert deployment["spec"]["replicas"] == 3
    for said in (f"Deployment {deployment['metadata']['name']}", "argocd-controller", ".spec.replicas"):
        assert said in _message(cluster)
    cluster.gateway.apply_as("argocd-controller", manifest=_fields(cluster, DEPLOYMENT))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.all(DEPLOYMENT)[0]["spec"]["replicas"] == 2


async def test_another_manager_who_applies_what_we_do_is_no_conflict(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    cluster.gateway.apply_as("argocd-controller", manifest=_fields(cluster, DEPLOYMENT, spec={"replicas": 2}))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_conflict_over_one_child_holds_up_no_other(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    cluster.gateway.apply_as("flux", manifest=_fields(cluster, SERVICE, spec={"selector": {"app": "theirs"}}))
    selected = cluster.all(SERVICE)[0]["spec"]["selector"]
    cluster.edit_spec(lambda spec: spec.update(replicas=4))
    await cluster.settle()
    assert cluster.all(DEPLOYMENT)[0]["spec"]["replicas"] == 4
    assert cluster.all(SERVICE)[0]["spec"]["selector"] == selected


async def test_nothing_is_deleted_while_a_child_cannot_be_written(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    cluster.gateway.apply_as(
        "flux", manifest=_fields(cluster, DEPLOYMENT, spec={"template": {"spec": {"terminationGracePeriodSeconds": 1}}})
    )
    before = {item["metadata"]["name"] for item in cluster.all(CONFIG_MAP)}
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("another"))))
    await cluster.settle()
    assert before <= {item["metadata"]["name"] for item in cluster.all(CONFIG_MAP)}
    assert cluster.says("Ready") == ("False", "FieldConflict")


async def test_a_hand_beside_another_manager_is_named_too_late_to_be_restored(cluster: SimulatedCluster) -> None:
    """One write is all or nothing: the edit is restored once nobody else applies a field of that object."""
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    name = cluster.all(DEPLOYMENT)[0]["metadata"]["name"]
    cluster.gateway.apply_as("flux", manifest=_fields(cluster, DEPLOYMENT, spec={"replicas": 3}))

    def edit(item: dict[str, Any]) -> None:
        item["spec"]["progressDeadlineSeconds"] = 1

    cluster.gateway.edit(DEPLOYMENT, edit, namespace=KEY.namespace, name=name)
    await cluster.settle()
    assert "flux" in _message(cluster)
    assert "kubectl" not in _message(cluster)
    cluster.gateway.apply_as("flux", manifest=_fields(cluster, DEPLOYMENT))
    await cluster.settle()
    assert cluster.all(DEPLOYMENT)[0]["spec"]["progressDeadlineSeconds"] != 1
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("manager", ["kubectl-edit", FIELD_MANAGER])
async def test_what_was_updated_is_restored_with_one_write_and_then_held_again(
    cluster: SimulatedCluster, manager: str
) -> None:
    """Also what an operator of before wrote by update, under our own name."""
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    live = cluster.all(DEPLOYMENT)[0]
    if manager == FIELD_MANAGER:
        live["spec"]["replicas"] = 5
        await cluster.gateway.replace(live)
    else:
        where = {"namespace": KEY.namespace, "name": live["metadata"]["name"]}
        cluster.gateway.edit(DEPLOYMENT, lambda item: item["spec"].update(replicas=5), **where)
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert [call.kind for call in cluster.gateway.writes if call.verb == "apply"] == ["Deployment"]
    assert cluster.all(DEPLOYMENT)[0]["spec"]["replicas"] == 2
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def _refuse_next_apply(cluster: SimulatedCluster, *, manager: str) -> FaultyGateway:
    """A Deployment that a hand has changed, whose restoration meets a conflict with this manager."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    where = {"namespace": KEY.namespace, "name": cluster.all(DEPLOYMENT)[0]["metadata"]["name"]}
    recorded = FaultyGateway(cluster.gateway)
    await cluster.reconcile(gateway=recorded)
    cluster.gateway.edit(DEPLOYMENT, lambda item: item["spec"].update(replicas=5), **where)
    gateway = FaultyGateway(cluster.gateway)
    held = HeldField(manager=manager, subresource="", field=".spec.replicas")
    gateway.fail_next(Refuse(FieldConflict("Apply failed with 1 conflict", held=[held])), after=len(recorded.positions))
    return gateway


async def test_a_manager_who_is_gone_when_we_look_is_met_again_at_once(cluster: SimulatedCluster) -> None:
    gateway = await _refuse_next_apply(cluster, manager="passer-by")
    with pytest.raises(Conflict, match="passer-by"):
        await cluster.reconcile(gateway=gateway)
    await cluster.settle(gateway=gateway)
    assert cluster.all(DEPLOYMENT)[0]["spec"]["replicas"] == 1


async def test_nothing_is_taken_from_a_manager_whose_name_cannot_be_read(cluster: SimulatedCluster) -> None:
    gateway = await _refuse_next_apply(cluster, manager="")
    await cluster.reconcile(gateway=gateway)
    assert cluster.says("Reconciling") == ("True", "FieldConflict")
    assert cluster.all(DEPLOYMENT)[0]["spec"]["replicas"] == 5


HPA = "kube-controller-manager"


def _scale(cluster: SimulatedCluster, *, replicas: int, manager: str = HPA) -> None:
    name = cluster.all(DEPLOYMENT)[0]["metadata"]["name"]
    cluster.gateway.scale(DEPLOYMENT, namespace=KEY.namespace, name=name, replicas=replicas, manager=manager)


def _replicas(cluster: SimulatedCluster) -> int:
    return int(cluster.all(DEPLOYMENT)[0]["spec"]["replicas"])


async def _autoscale(cluster: SimulatedCluster, *, periods: int, seconds: float = 15.0) -> int:
    """An autoscaler of the Deployment that wants 5, every `seconds`; how often it had to write."""
    written = 0
    for _ in range(periods):
        if _replicas(cluster) != 5:
            _scale(cluster, replicas=5)
            written += 1
        await cluster.settle()
        cluster.pass_time(seconds)
    return written


async def test_a_hand_that_scales_the_deployment_is_undone_at_once(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    for _ in range(3):
        _scale(cluster, replicas=5, manager="kubectl")
        await cluster.settle()
        assert _replicas(cluster) == 2
        assert cluster.says("Ready") == ("True", "Serving")
        cluster.pass_time(3600)


async def test_an_autoscaler_of_the_deployment_is_named_and_not_fought(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    written = await _autoscale(cluster, periods=3)
    assert written == 3
    assert _replicas(cluster) == 5
    assert cluster.says("Ready") == ("False", "FieldConflict")
    assert cluster.says("Reconciling") == ("True", "FieldConflict")
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    for said in (HPA, "updates .spec.replicas again and again", f"scale EmbeddingModel {KEY.name} instead"):
        assert said in _message(cluster)


async def test_the_pauses_of_a_contested_field_grow_so_that_a_day_sees_few_restorations(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    assert await _autoscale(cluster, periods=24 * 4, seconds=900.0) < 16


async def test_a_contested_field_is_restored_once_nobody_writes_it_any_more(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    await _autoscale(cluster, periods=3)
    cluster.pass_time(60)
    await cluster.settle()
    assert _replicas(cluster) == 2
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("asks", ["spec", "annotation"])
async def test_a_contested_field_is_restored_at_once_when_the_user_asks_anew(
    cluster: SimulatedCluster, asks: str
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    await _autoscale(cluster, periods=3)
    if asks == "spec":
        cluster.edit_spec(lambda spec: spec.update(replicas=3))
    else:
        cluster.facts.resolutions |= {f"{asked}@now": found for asked, found in cluster.facts.resolutions.items()}
        cluster.request_anew("now")
    await cluster.settle()
    assert _replicas(cluster) == (3 if asks == "spec" else 2)
    assert cluster.says("Ready") == ("True", "Serving")


async def test_an_autoscaler_that_wants_what_we_do_is_no_conflict(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=5))
    await cluster.settle()
    assert await _autoscale(cluster, periods=10) == 0
    assert cluster.says("Ready") == ("True", "Serving")
