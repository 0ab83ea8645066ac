"""strategy: Replace: what serves gives its place to nothing that the API server does not take."""

from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, reference_jobs
from refused_writes import DENIED, QUOTA, REFUSALS, TROUBLES, edit_by_hand, refuse, run
from refusing_gateway import RefusingGateway
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.judge.reference import START_SECONDS
from embedding_operator.judge.verdict import REFUSED_SECONDS
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, JOB, SERVICE, Gateway, GatewayError, Kind

REPLACE = {"strategy": "Replace"}
JOB_REFUSALS = [pytest.param(QUOTA, id="quota"), pytest.param(DENIED, id="policy")]


async def serve(cluster: SimulatedCluster, **verification: Any) -> str:
    """With 2 pods; under `reference: Auto` unless `verification` says otherwise."""
    cluster.create_model(hub_spec(replicas=2, rollout=REPLACE, verification=verification or {"reference": "Auto"}))
    await answer_all(cluster, cluster.gateway)
    assert cluster.says("Ready") == ("True", "Serving")
    return cluster.selected_space()


async def answer_all(cluster: SimulatedCluster, gateway: Gateway, *, rounds: int = 30) -> None:
    """Reference Jobs answer as soon as they run."""
    for _ in range(rounds):
        await run(cluster, gateway, rounds=1)
        answer_references(cluster)


def ask_for_another_space(cluster: SimulatedCluster, **verification: Any) -> None:
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    if verification:
        cluster.edit_spec(lambda spec: spec.update(verification=verification))


def says_that_the_former_serves(cluster: SimulatedCluster) -> bool:
    return cluster.says("Available") == ("True", "PreviousGenerationServing") and len(cluster.ready_pods()) == 2


async def refuse_for_half_an_hour(cluster: SimulatedCluster, gateway: Gateway, *, old: str) -> None:
    for _ in range(round(START_SECONDS / REFUSED_SECONDS) + 5):
        cluster.pass_time(REFUSED_SECONDS)
        await run(cluster, gateway, rounds=2)
        assert cluster.replicas() == {old: 2}


async def assert_replaced(cluster: SimulatedCluster, *, old: str) -> None:
    await answer_all(cluster, cluster.gateway)
    cluster.pass_time(REFUSED_SECONDS)
    await answer_all(cluster, cluster.gateway)
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.selected_space() != old
    assert cluster.replicas()[old] == 0


@pytest.mark.parametrize("error", REFUSALS)
async def test_what_served_comes_back_where_its_successor_is_refused_once_its_goldens_are_computed(
    cluster: SimulatedCluster, error: GatewayError
) -> None:
    old = await serve(cluster)
    gateway = refuse(cluster, "apply", DEPLOYMENT, error)
    ask_for_another_space(cluster)
    await answer_all(cluster, gateway)
    assert cluster.replicas() == {old: 2}
    assert says_that_the_former_serves(cluster)
    assert error.message in str(cluster.condition("Ready"))
    assert not reference_jobs(cluster), "it holds the device"
    for _ in range(5):
        await run(cluster, gateway, rounds=1)
        assert cluster.replicas() == {old: 2}
    await assert_replaced(cluster, old=old)


@pytest.mark.parametrize("error", JOB_REFUSALS)
async def test_what_served_comes_back_where_the_job_that_computes_its_successors_goldens_is_refused(
    cluster: SimulatedCluster, error: GatewayError
) -> None:
    old = await serve(cluster)
    gateway = RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=error)
    ask_for_another_space(cluster)
    await run(cluster, gateway)
    assert says_that_the_former_serves(cluster)
    assert error.message in str(cluster.condition("Verified"))
    await refuse_for_half_an_hour(cluster, gateway, old=old)
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    await assert_replaced(cluster, old=old)


@pytest.mark.parametrize("has_room", [True, False])
async def test_a_job_that_is_taken_at_last_waits_for_the_place_of_what_serves(
    cluster: SimulatedCluster, has_room: bool
) -> None:
    """Unless there is room for it beside that."""
    old = await serve(cluster)
    gateway = RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=QUOTA)
    ask_for_another_space(cluster)
    await run(cluster, gateway)
    cluster.makes_job_pods = has_room
    cluster.pass_time(REFUSED_SECONDS)
    await cluster.reconcile()
    [taken] = reference_jobs(cluster)
    await run(cluster, cluster.gateway)
    assert cluster.replicas() == {old: 0}
    assert [job["metadata"]["uid"] for job in reference_jobs(cluster)] == [taken["metadata"]["uid"]]
    cluster.makes_job_pods = True
    await assert_replaced(cluster, old=old)


async def test_what_a_job_answers_beside_what_serves_is_stored(cluster: SimulatedCluster) -> None:
    old = await serve(cluster)
    gateway = RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=QUOTA)
    ask_for_another_space(cluster)
    await run(cluster, gateway)
    cluster.pass_time(REFUSED_SECONDS)
    await cluster.reconcile()
    cluster.step()
    answer_references(cluster)
    await run(cluster, gateway)
    assert cluster.says("Ready") == ("True", "Serving"), "no second Job is needed, which would be refused"
    assert cluster.replicas()[old] == 0


async def test_a_restarted_operator_takes_nothing_away_for_a_job_that_was_refused(cluster: SimulatedCluster) -> None:
    old = await serve(cluster)
    gateway = RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=QUOTA)
    ask_for_another_space(cluster)
    await run(cluster, gateway)
    for is_given_up in (False, True):
        if is_given_up:
            await refuse_for_half_an_hour(cluster, gateway, old=old)
            assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
        cluster.facts.unmade.clear()
        for _ in range(5):
            await run(cluster, gateway, rounds=1)
            assert cluster.replicas() == {old: 2}
            assert says_that_the_former_serves(cluster)
    await assert_replaced(cluster, old=old)


async def test_pods_that_came_keep_their_place_while_a_job_that_is_asked_for_later_is_refused(
    cluster: SimulatedCluster,
) -> None:
    old = await serve(cluster, **verified_by(golden("paris")))
    starting = {"phase": "Running"}
    cluster.trouble = lambda pod: None if pod["metadata"]["labels"][names.LABEL_SPACE] == old else starting
    ask_for_another_space(cluster, **verified_by(golden("cut", dimensions=4)))
    await run(cluster, cluster.gateway)
    before = cluster.replicas()
    assert before[old] == 0
    assert sum(before.values()) == 2
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    await run(cluster, RefusingGateway(cluster.gateway, verb="apply", kind=JOB.kind, error=QUOTA))
    assert cluster.replicas() == before


async def test_what_is_kept_and_may_not_be_scaled_up_again_makes_nobody_go_to_and_fro(
    cluster: SimulatedCluster,
) -> None:
    first = await serve(cluster, **verified_by(golden("paris")))
    spec, there = cluster.model()["spec"], cluster.all(DEPLOYMENT)
    ask_for_another_space(cluster, **verified_by(golden("cut", dimensions=4)))
    await run(cluster, cluster.gateway)
    assert cluster.replicas()[first] == 0
    spared = {item["metadata"]["name"] for item in cluster.all(DEPLOYMENT) if item not in there}
    spared -= {item["metadata"]["name"] for item in there}
    gateway = RefusingGateway(cluster.gateway, verb="apply", kind=DEPLOYMENT.kind, error=DENIED, spares=spared)
    cluster.edit_spec(lambda edited: edited.clear() or edited.update(spec))
    await run(cluster, gateway)
    cluster.gateway.forget_calls()
    await run(cluster, gateway)
    assert cluster.gateway.writes == ()
    assert cluster.says("Ready") == ("False", "ChildRejected")
    await run(cluster, cluster.gateway)
    assert cluster.selected_space() == first
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("error", REFUSALS)
async def test_what_was_scaled_to_0_meanwhile_is_scaled_up_again(
    cluster: SimulatedCluster, error: GatewayError
) -> None:
    old = await serve(cluster, **verified_by(golden("paris")))
    gateway = refuse(cluster, "apply", DEPLOYMENT, error)
    ask_for_another_space(cluster, **verified_by(golden("cut", dimensions=4)))
    await run(cluster, gateway)
    for replicas in (0, 2):
        cluster.edit_spec(lambda spec, replicas=replicas: spec.update(replicas=replicas))
        await run(cluster, gateway)
        assert cluster.replicas() == {old: replicas}
    assert says_that_the_former_serves(cluster)
    await assert_replaced(cluster, old=old)


@pytest.mark.parametrize("error", TROUBLES)
async def test_no_gap_is_told_of_while_a_call_before_it_fails(cluster: SimulatedCluster, error: GatewayError) -> None:
    old = await serve(cluster, **verified_by(golden("paris")))
    gateway = refuse(cluster, "apply", CONFIG_MAP, error)
    ask_for_another_space(cluster, **verified_by(golden("cut", dimensions=4)))
    await run(cluster, gateway)
    assert cluster.replicas()[old] == 2
    assert says_that_the_former_serves(cluster)
    assert cluster.says("Ready") != ("False", "Replacing")
    assert error.message in str(cluster.condition("Ready"))


@pytest.mark.parametrize("kind", [SERVICE, CONFIG_MAP], ids=["Service", "ConfigMap"])
async def test_what_served_does_not_come_back_while_its_successors_goldens_are_computed(
    cluster: SimulatedCluster, kind: Kind
) -> None:
    """The Job has the place."""
    old = await serve(cluster)
    ask_for_another_space(cluster)
    await run(cluster, cluster.gateway)
    assert reference_jobs(cluster)
    edit_by_hand(cluster, kind)
    await run(cluster, RefusingGateway(cluster.gateway, verb="apply", kind=kind.kind, error=DENIED))
    assert cluster.replicas() == {old: 0}
    assert reference_jobs(cluster)
    await assert_replaced(cluster, old=old)
