"""What the API server refuses becomes a condition; what it cannot answer is tried again."""

import json

import pytest
from faulty_gateway import FaultyGateway, Refuse
from model_samples import hub_spec, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_operator.kube.gateway import EVENT, Forbidden, GatewayError, Invalid, Object, Unreachable
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.reconcile.outcome import Done, Stalled, Wait

QUOTA = Forbidden('deployments.apps "tiny" is forbidden: exceeded quota: small', status=403)
NO_RIGHT = Forbidden("deployments.apps is forbidden: User cannot patch resource", status=403)
ENDING = Forbidden("unable to create: namespace search is being terminated", status=403)
INVALID = Invalid('Deployment "tiny" is invalid: spec.template: limits must be above requests', status=422)

DENIED = GatewayError('admission webhook "images.example.com" denied the request: unsigned image', status=400)
BROKEN = Unreachable('failed calling webhook "images.example.com": connection refused', status=500)


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
        (DENIED, Wait, "Stalled", "ChildRejected"),
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


async def test_an_api_server_that_answers_with_an_error_is_quoted_and_tried_again(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    number = await _find_call("apply", "Deployment")
    gateway = FaultyGateway(cluster.gateway, faults={number: Refuse(BROKEN)})
    with pytest.raises(Unreachable):
        await cluster.reconcile(gateway=gateway)
    assert cluster.says("Reconciling") == ("True", "ChildRejected")
    assert BROKEN.message in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    await cluster.settle(gateway=gateway)
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_policy_that_rewrites_what_we_write_does_not_keep_a_model_from_being_ready(
    cluster: SimulatedCluster,
) -> None:
    class Rewriting(MemoryGateway):
        async def apply(self, manifest: Object, *, force: bool = False) -> Object:
            text = json.dumps(manifest).replace('"runtime:1"', '"mirror.example.internal/runtime:1"')
            return await super().apply(json.loads(text), force=force)

    cluster.gateway.__class__ = Rewriting
    cluster.create_model(hub_spec())
    for _ in range(10):
        await cluster.reconcile()
        cluster.step()
    await cluster.reconcile()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_without_the_keys_of_the_private_port_nothing_is_polled(cluster: SimulatedCluster) -> None:
    """All models are woken when the keys come."""
    cluster.facts.key_data = None
    cluster.create_model(hub_spec())
    assert await cluster.settle() == Done()


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
