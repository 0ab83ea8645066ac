"""While the API server refuses one kind of write, all others go on, and the status claims no more than is true."""

import asyncio
import contextlib
import copy
from collections.abc import Callable

import pytest
from faulty_gateway import FaultyGateway
from model_samples import golden, hub_spec, verified_by
from refused_writes import BUSY, DENIED, INVALID, QUOTA, REFUSALS, SILENCE, TROUBLES, edit_by_hand, refuse, run
from refusing_gateway import RefusingGateway
from simulated_cluster import KEY, SimulatedCluster
from simulated_controllers import list_endpoints

from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    GatewayError,
    Kind,
)

CHILDREN = [pytest.param(kind, id=kind.kind) for kind in (CONFIG_MAP, SERVICE, DEPLOYMENT, POD_DISRUPTION_BUDGET)]
NOWHERE = "sp1-" + "0" * 32
OTHER_SPACE = {"embedding": {"dimensions": 4}, "verification": verified_by(golden("cut", dimensions=4))}


@pytest.fixture
async def serving(cluster: SimulatedCluster) -> SimulatedCluster:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"))))
    await cluster.settle()
    return cluster


async def assert_heals(cluster: SimulatedCluster, *, space: Callable[[str], bool] = bool) -> None:
    cluster.wrong.clear()
    cluster.ill.clear()
    cluster.pass_time(4000)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert space(cluster.selected_space())


@pytest.mark.parametrize("error", TROUBLES)
@pytest.mark.parametrize("kind", CHILDREN)
async def test_a_child_that_cannot_be_written_does_not_keep_the_status_from_saying_that_nothing_serves(
    serving: SimulatedCluster, kind: Kind, error: GatewayError
) -> None:
    gateway = RefusingGateway(serving.gateway, verb="apply", kind=kind.kind, error=error)
    edit_by_hand(serving, kind)
    serving.wrong.add("paris")
    await run(serving, gateway)
    assert gateway.refused
    assert not serving.ready_pods()
    assert serving.says("Ready")[0] == "False"  # type: ignore[index]
    assert serving.says("Available") == ("False", "NotAvailable")
    assert serving.says("Verified") == ("False", "GoldenMismatch")
    await assert_heals(serving)


@pytest.mark.parametrize("error", TROUBLES)
async def test_a_child_that_cannot_be_deleted_does_not_either(serving: SimulatedCluster, error: GatewayError) -> None:
    gateway = refuse(serving, "delete", POD_DISRUPTION_BUDGET, error)
    serving.edit_spec(lambda spec: spec.update(replicas=1))
    await run(serving, gateway)
    assert gateway.refused
    assert serving.status()["observedGeneration"] == serving.model()["metadata"]["generation"]
    assert error.message in str(serving.condition("Ready"))
    serving.wrong.add("paris")
    await run(serving, gateway)
    assert serving.says("Available") == ("False", "NotAvailable")
    await assert_heals(serving)


@pytest.mark.parametrize("verb", ["label", "delete"])
@pytest.mark.parametrize("error", TROUBLES)
async def test_a_wrong_pod_that_cannot_be_taken_out_stops_nothing_else(
    serving: SimulatedCluster, error: GatewayError, verb: str
) -> None:
    bad = serving.pods()[0]["metadata"]["uid"]
    serving.ill[bad] = {"paris"}
    gateway = refuse(serving, verb, POD, error)
    await run(serving, gateway)
    assert gateway.refused
    assert bad in {pod["metadata"]["uid"] for pod in serving.pods()}
    assert serving.says("Verified") == ("False", "AuditFailed")
    assert serving.says("Ready")[0] == "False"  # type: ignore[index]
    serving.edit_spec(lambda spec: spec.update(replicas=3))
    await run(serving, gateway)
    assert list(serving.replicas().values()) == [3]
    await assert_heals(serving)


@pytest.mark.parametrize("error", [SILENCE, BUSY], ids=["no answer", "429"])
async def test_one_call_without_an_answer_takes_ready_from_no_model_that_has_it(
    serving: SimulatedCluster, error: GatewayError
) -> None:
    edit_by_hand(serving, SERVICE)
    gateway = RefusingGateway(serving.gateway, verb="apply", kind=SERVICE.kind, error=error)
    serving.gateway.forget_calls()
    with pytest.raises(type(error)):
        await serving.reconcile(gateway=gateway)
    assert serving.says("Ready") == ("True", "Serving")
    assert serving.gateway.writes == ()


async def test_a_deletion_counts_also_when_the_reconcile_is_given_up_meanwhile(serving: SimulatedCluster) -> None:
    class GivenUp(FaultyGateway):
        async def delete(self, kind: Kind, *, namespace: str, name: str, uid: str | None = None) -> None:
            await super().delete(kind, namespace=namespace, name=name, uid=uid)
            raise asyncio.CancelledError

    serving.ill[serving.pods()[0]["metadata"]["uid"]] = {"paris"}
    with pytest.raises(asyncio.CancelledError):
        await run(serving, GivenUp(serving.gateway))
    assert serving.facts.quarantines


@pytest.mark.parametrize("error", [DENIED, QUOTA, INVALID])
async def test_deletions_of_wrong_pods_that_were_refused_make_no_pause_longer(
    serving: SimulatedCluster, error: GatewayError
) -> None:
    bad = serving.pods()[0]["metadata"]["uid"]
    serving.ill[bad] = {"paris"}
    await run(serving, refuse(serving, "delete", POD, error), rounds=30)
    await run(serving, serving.gateway, rounds=5)
    assert bad not in {pod["metadata"]["uid"] for pod in serving.pods()}


@pytest.mark.parametrize("kind", [CONFIG_MAP, DEPLOYMENT], ids=["ConfigMap", "Deployment"])
@pytest.mark.parametrize("error", REFUSALS)
async def test_what_serves_is_scaled_and_restored_while_another_space_cannot_be_made(
    serving: SimulatedCluster, kind: Kind, error: GatewayError
) -> None:
    old = serving.selected_space()
    gateway = refuse(serving, "apply", kind, error)
    serving.edit_spec(lambda spec: spec.update(OTHER_SPACE, replicas=3))
    await run(serving, gateway)
    assert serving.replicas() == {old: 3}
    assert error.message in str(serving.condition("Ready"))
    serving.point_service(NOWHERE)
    await run(serving, gateway)
    assert serving.selected_space() == old
    serving.take_away(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=old))
    await run(serving, gateway)
    assert serving.replicas() == {old: 3}
    assert serving.says("Available") == ("True", "PreviousGenerationServing")
    await assert_heals(serving, space=lambda space: space != old)


@pytest.mark.parametrize("kind", [CONFIG_MAP, DEPLOYMENT], ids=["ConfigMap", "Deployment"])
@pytest.mark.parametrize("error", REFUSALS)
async def test_under_replace_what_serves_stays_while_what_would_come_is_refused(
    serving: SimulatedCluster, kind: Kind, error: GatewayError
) -> None:
    serving.edit_spec(lambda spec: spec.update(rollout={"strategy": "Replace"}))
    await serving.settle()
    old = serving.selected_space()
    gateway = refuse(serving, "apply", kind, error)
    serving.edit_spec(lambda spec: spec.update(OTHER_SPACE))
    await run(serving, gateway)
    assert gateway.refused
    assert serving.replicas()[old] == 2
    assert len(serving.ready_pods()) == 2
    assert error.message in str(serving.condition("Ready"))
    assert serving.says("Available") == ("True", "PreviousGenerationServing")
    serving.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    for _ in range(5):
        await run(serving, gateway, rounds=1)
        assert serving.replicas()[old] == 2
    for replicas in (4, 1):
        serving.edit_spec(lambda spec, replicas=replicas: spec.update(replicas=replicas))
        await run(serving, gateway)
        assert serving.replicas()[old] == replicas
    serving.take_away(DEPLOYMENT, names.deployment_name(KEY.name, fingerprint=old))
    await run(serving, gateway)
    assert serving.replicas()[old] == 1
    serving.edit_spec(lambda spec: spec.update(replicas=0))
    await run(serving, gateway)
    assert serving.replicas()[old] == 0, "that is what was asked for"
    serving.edit_spec(lambda spec: spec.update(replicas=1))
    await assert_heals(serving, space=lambda space: space != old)


@pytest.mark.parametrize("strategy", ["Replace", "Surge"])
async def test_a_budget_that_is_somebody_elses_holds_no_rollout_up(cluster: SimulatedCluster, strategy: str) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris")), rollout={"strategy": strategy}))
    await cluster.settle()
    old = cluster.selected_space()
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "labels": {names.LABEL_MODEL: KEY.name}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": {}}
    cluster.gateway.put(budget)
    cluster.edit_spec(lambda spec: spec.update(OTHER_SPACE, replicas=2))
    await cluster.settle()
    assert cluster.selected_space() != old
    assert cluster.replicas()[old] == 0
    assert cluster.says("Stalled") == ("True", "Conflict")


@pytest.mark.parametrize("component", [names.COMPONENT_GOLDENS, names.COMPONENT_MODEL])
async def test_under_replace_what_serves_stays_while_what_would_come_mounts_what_is_somebody_elses(
    serving: SimulatedCluster, component: str
) -> None:
    serving.edit_spec(lambda spec: spec.update(rollout={"strategy": "Replace"}))
    await serving.settle()
    old, there = serving.selected_space(), serving.all(CONFIG_MAP)
    serving.edit_spec(lambda spec: spec.update(OTHER_SPACE))
    before = copy.deepcopy(serving)
    await before.settle()
    metadata = next(
        item["metadata"]
        for item in before.all(CONFIG_MAP)
        if item not in there and item["metadata"]["labels"][names.LABEL_COMPONENT] == component
    )
    foreign = {"namespace": KEY.namespace, "name": metadata["name"]}
    serving.gateway.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": foreign, "data": {}})
    await run(serving, serving.gateway)
    assert serving.says("Stalled") == ("True", "Conflict")
    assert serving.replicas()[old] == 2
    serving.gateway.forget_calls()
    await serving.reconcile()
    assert serving.gateway.writes == ()


@pytest.mark.parametrize("error", REFUSALS)
async def test_what_serves_is_not_ended_in_a_moment_without_pods_while_the_service_cannot_move(
    serving: SimulatedCluster, error: GatewayError
) -> None:
    old = serving.selected_space()
    gateway = RefusingGateway(serving.gateway, verb="apply", kind=SERVICE.kind, error=error)
    serving.edit_spec(lambda spec: spec.update(OTHER_SPACE))
    await run(serving, gateway)
    assert serving.selected_space() == old
    for pod in serving.pods():
        if pod["metadata"]["labels"][names.LABEL_SPACE] == old:
            serving.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])
    list_endpoints(serving)
    with contextlib.suppress(GatewayError):
        await serving.reconcile(gateway=gateway)
    assert serving.replicas()[old] == 2
    await run(serving, gateway)
    assert serving.says("Available") == ("True", "PreviousGenerationServing")
    await assert_heals(serving, space=lambda space: space != old)


async def test_a_refusal_is_not_hidden_by_a_call_without_an_answer_after_it(serving: SimulatedCluster) -> None:
    edit_by_hand(serving, SERVICE)
    edit_by_hand(serving, DEPLOYMENT)
    denying = RefusingGateway(serving.gateway, verb="apply", kind=SERVICE.kind, error=DENIED)
    await run(serving, RefusingGateway(denying, verb="apply", kind=DEPLOYMENT.kind, error=SILENCE))
    assert serving.says("Ready") == ("False", "ChildRejected")
    await assert_heals(serving)


@pytest.mark.parametrize("kind", [CONFIG_MAP, SERVICE, DEPLOYMENT], ids=["ConfigMap", "Service", "Deployment"])
@pytest.mark.parametrize("error", REFUSALS)
async def test_a_child_that_was_deleted_by_hand_is_restored_beside_one_that_is_refused(
    serving: SimulatedCluster, kind: Kind, error: GatewayError
) -> None:
    gateway = RefusingGateway(serving.gateway, verb="apply", kind=kind.kind, error=error)
    edit_by_hand(serving, kind)
    [budget] = serving.all(POD_DISRUPTION_BUDGET)
    serving.take_away(POD_DISRUPTION_BUDGET, budget["metadata"]["name"])
    await run(serving, gateway)
    assert serving.all(POD_DISRUPTION_BUDGET)
    await assert_heals(serving)


async def test_no_pod_is_made_that_would_mount_what_is_somebody_elses(serving: SimulatedCluster) -> None:
    keys = names.keys_configmap_name(KEY.name)
    serving.take_away(CONFIG_MAP, keys)
    metadata = {"namespace": KEY.namespace, "name": keys}
    serving.gateway.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}})
    serving.edit_spec(lambda spec: spec.update(OTHER_SPACE))
    await run(serving, serving.gateway)
    assert len(serving.all(DEPLOYMENT)) == 1
    assert serving.says("Stalled") == ("True", "Conflict")
