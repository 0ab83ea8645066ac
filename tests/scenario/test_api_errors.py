"""What the API server refuses becomes a condition; what it cannot answer is tried again."""

import pytest
from model_samples import hub_spec, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_operator.kube.faults import FaultyGateway, Refuse
from embedding_operator.kube.gateway import EVENT, Forbidden, GatewayError, Invalid, Unreachable
from embedding_operator.reconcile.outcome import Done, Stalled, Wait

QUOTA = Forbidden('deployments.apps "tiny" is forbidden: exceeded quota: small', status=403)
NO_RIGHT = Forbidden("deployments.apps is forbidden: User cannot patch resource", status=403)
ENDING = Forbidden("unable to create: namespace search is being terminated", status=403)
INVALID = Invalid('Deployment "tiny" is invalid: spec.template: limits must be above requests', status=422)


async def _find_call(verb: str, kind: str) -> int:
    """Number of the first such call in the first reconcile of a new model."""
    cluster = SimulatedCluster()
    cluster.facts.resolutions[request_token()] = resolved()
    cluster.create_model(hub_spec())
    gateway = FaultyGateway(cluster.gateway)
    await cluster.reconcile(gateway=gateway)
    return next(item.number for item in gateway.positions if (item.verb, item.kind) == (verb, kind))


@pytest.mark.parametrize(
    ("error", "outcome", "kind", "reason"),
    [
        (INVALID, Stalled, "Stalled", "ChildRejected"),
        (QUOTA, Wait, "Reconciling", "QuotaExceeded"),
        (NO_RIGHT, Wait, "Reconciling", "APIForbidden"),
        (ENDING, Done, "Reconciling", "Terminating"),
    ],
)
async def test_a_refused_child_is_reported_in_the_api_servers_words_and_heals(
    cluster: SimulatedCluster, error: GatewayError, outcome: type, kind: str, reason: str
) -> None:
    cluster.create_model(hub_spec())
    number = await _find_call("apply", "Deployment")
    gateway = FaultyGateway(cluster.gateway, faults={number: Refuse(error)})
    assert isinstance(await cluster.reconcile(gateway=gateway), outcome)
    assert cluster.says("Ready") == ("False", reason)
    assert cluster.says(kind) == ("True", reason)
    if reason != "Terminating":
        assert error.message in cluster.condition(kind)["message"]  # type: ignore[index]
    await cluster.settle(gateway=gateway)
    assert cluster.says("Ready") == ("True", "Serving")


async def test_an_api_server_that_does_not_answer_is_the_work_queues_business(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    gateway = FaultyGateway(cluster.gateway, faults={1: Refuse(Unreachable("no answer"))})
    with pytest.raises(Unreachable):
        await cluster.reconcile(gateway=gateway)
    assert cluster.status() == {"observedGeneration": -1}


async def test_an_event_that_cannot_be_posted_fails_nothing(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    number = await _find_call("create", "Event")
    gateway = FaultyGateway(cluster.gateway, faults={number: Refuse(Unreachable("no answer"))})
    await cluster.reconcile(gateway=gateway)
    assert cluster.says("Resolved") == ("True", "Resolved")
    assert cluster.all(EVENT) == []
