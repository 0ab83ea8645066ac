"""A Job that the API server does not take, for a quota of Jobs or a policy, holds up only what needs its answer."""

from collections.abc import Iterator
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by, volume_spec
from reference_samples import answer_references, reference_jobs
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.judge.reference import START_SECONDS
from embedding_operator.judge.verdict import REFUSED_SECONDS
from embedding_operator.kube.gateway import (
    DEPLOYMENT,
    EMBEDDING_MODEL,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    Forbidden,
    GatewayError,
    Object,
    Unreachable,
)
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.reconcile.outcome import Wait

QUOTA = Forbidden('jobs.batch "tiny-r1" is forbidden: exceeded quota: jobs, used: count/jobs.batch=1', status=403)
NO_RIGHT = Forbidden("jobs.batch is forbidden: User cannot create resource", status=403)
DENIED = GatewayError('admission webhook "images.example.com" denied the request: unsigned image', status=400)
BROKEN = Unreachable('failed calling webhook "images.example.com": connection refused', status=500)
ERRORS = [
    pytest.param(QUOTA, id="quota"),
    pytest.param(NO_RIGHT, id="right"),
    pytest.param(DENIED, id="policy"),
    pytest.param(BROKEN, id="webhook"),
]


class JobsRefused(MemoryGateway):
    error: GatewayError | None = None

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        if manifest["kind"] == JOB.kind and self.error is not None:
            raise self.error
        return await super().apply(manifest, force=force)


@pytest.fixture
def gateway(cluster: SimulatedCluster) -> Iterator[JobsRefused]:
    cluster.gateway.__class__ = JobsRefused
    assert isinstance(cluster.gateway, JobsRefused)
    cluster.gateway.error = QUOTA
    yield cluster.gateway
    assert cluster.gateway.error is None or not cluster.all(JOB)


async def settle(cluster: SimulatedCluster) -> None:
    """As the work queue does: what raises is tried again."""
    for _ in range(10):
        try:
            await cluster.settle()
        except Unreachable:
            cluster.step()


async def wait_in_vain(cluster: SimulatedCluster, seconds: float) -> None:
    """The Job is offered again and again meanwhile."""
    for _ in range(4):
        cluster.pass_time(seconds / 4)
        await settle(cluster)


def asking_spec(*cases: dict[str, Any], policy: str = "Block", **parts: Any) -> dict[str, Any]:
    return hub_spec(verification=verified_by(*cases, reference="Auto", failurePolicy=policy), **parts)


@pytest.mark.parametrize("error", ERRORS)
async def test_under_warn_pods_serve_without_the_reference_in_the_end_and_are_called_unverified(
    cluster: SimulatedCluster, gateway: JobsRefused, error: GatewayError
) -> None:
    gateway.error = error
    cluster.create_model(asking_spec(golden("paris"), policy="Warn"))
    await settle(cluster)
    assert error.message in str(cluster.condition("Verified"))
    await wait_in_vain(cluster, START_SECONDS)
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert error.message in str(cluster.condition("Verified"))
    [uid] = cluster.facts.audits_requested
    assert cluster.facts.audits_requested[uid].objection


@pytest.mark.parametrize("error", ERRORS)
async def test_under_block_it_is_told_in_the_api_servers_words_and_heals(
    cluster: SimulatedCluster, gateway: JobsRefused, error: GatewayError
) -> None:
    gateway.error = error
    cluster.create_model(asking_spec(golden("paris")))
    await settle(cluster)
    assert error.message in str(cluster.condition("Ready"))
    await wait_in_vain(cluster, START_SECONDS)
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert error.message in str(cluster.condition("Stalled"))
    assert cluster.all(DEPLOYMENT) == []
    gateway.error = None
    await settle(cluster)
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")


async def test_it_is_said_at_once_and_asked_again_every_minute(cluster: SimulatedCluster, gateway: JobsRefused) -> None:
    cluster.create_model(asking_spec())
    outcome = await cluster.reconcile()
    assert isinstance(outcome, Wait)
    assert outcome.after_seconds <= 1.0, "what was just learnt is to be judged"
    outcome = await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "QuotaExceeded")
    assert isinstance(outcome, Wait)
    assert 1.0 < outcome.after_seconds <= REFUSED_SECONDS


async def test_a_time_without_refusals_begins_anew(cluster: SimulatedCluster, gateway: JobsRefused) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    await wait_in_vain(cluster, START_SECONDS * 0.8)
    gateway.error = None
    await cluster.settle()
    [job] = reference_jobs(cluster)
    gateway.error = QUOTA
    await cluster.gateway.delete(JOB, namespace=KEY.namespace, name=job["metadata"]["name"])
    await cluster.settle()
    await wait_in_vain(cluster, START_SECONDS * 0.8)
    assert cluster.says("Reconciling") == ("True", "QuotaExceeded")


async def test_what_serves_is_scaled_meanwhile(cluster: SimulatedCluster, gateway: JobsRefused) -> None:
    gateway.error = None
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"), reference="Off")))
    await cluster.settle()
    gateway.error = QUOTA
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    cluster.edit_spec(lambda spec: spec.update(replicas=3))
    await cluster.settle()
    assert len(cluster.ready_pods()) == 3
    assert cluster.says("Reconciling") == ("True", "QuotaExceeded")
    assert cluster.says("Available")[0] == "True"


@pytest.mark.parametrize("error", ERRORS)
async def test_a_volume_that_cannot_be_read_for_it_says_so(
    cluster: SimulatedCluster, gateway: JobsRefused, error: GatewayError
) -> None:
    gateway.error = error
    claim = {"namespace": KEY.namespace, "name": "models"}
    cluster.gateway.put({"apiVersion": "v1", "kind": PERSISTENT_VOLUME_CLAIM.kind, "metadata": claim})
    cluster.create_model(volume_spec())
    await settle(cluster)
    assert cluster.says("Resolved")[0] == "False"
    assert error.message in str(cluster.condition("Resolved"))
    assert error.message in str(cluster.condition("Ready"))
    gateway.error = None
    await settle(cluster)
    assert cluster.says("Reconciling") == ("True", "InspectingVolume")


@pytest.mark.parametrize("policy", ["Block", "Warn"])
async def test_a_refusal_of_long_ago_says_nothing_about_a_job_that_is_asked_for_again(
    cluster: SimulatedCluster, gateway: JobsRefused, policy: str
) -> None:
    cluster.create_model(asking_spec(policy=policy))
    await cluster.settle()
    gateway.error = None
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    answer_references(cluster, dimensions=4)
    await cluster.settle()
    verified = cluster.selected_space()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    cluster.pass_time(2 * START_SECONDS)
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    assert cluster.selected_space() == verified, "it moves once the Job has answered"
    assert cluster.says("Reconciling") == ("True", "ComputingReference")


@pytest.mark.parametrize("error", [QUOTA, DENIED])
async def test_a_job_for_what_waits_for_approval_is_offered_every_minute_too(
    cluster: SimulatedCluster, gateway: JobsRefused, error: GatewayError
) -> None:
    gateway.error = None
    cluster.create_model(asking_spec(policy="Warn"))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    space = cluster.selected_space()
    gateway.error = error
    cluster.edit_spec(lambda spec: spec.update(space=space, embedding={"dimensions": 4}))
    await wait_in_vain(cluster, START_SECONDS)
    outcome = await cluster.settle()
    assert isinstance(outcome, Wait)
    assert outcome.after_seconds <= REFUSED_SECONDS


@pytest.mark.parametrize("error", ERRORS)
async def test_a_request_is_not_handled_while_nobody_can_be_asked(
    cluster: SimulatedCluster, gateway: JobsRefused, error: GatewayError
) -> None:
    gateway.error = error
    claim = {"namespace": KEY.namespace, "name": "models"}
    cluster.gateway.put({"apiVersion": "v1", "kind": PERSISTENT_VOLUME_CLAIM.kind, "metadata": claim})
    cluster.create_model(volume_spec())
    cluster.request_anew("2026-03-01T14:00:00Z")
    await settle(cluster)
    assert cluster.says("Resolved")[0] == "False"
    assert "lastHandledRequest" not in cluster.status()


async def test_a_namesake_made_anew_has_asked_nothing_yet(cluster: SimulatedCluster, gateway: JobsRefused) -> None:
    cluster.create_model(asking_spec())
    await settle(cluster)
    await wait_in_vain(cluster, START_SECONDS * 0.9)
    spec = cluster.model()["spec"]
    cluster.gateway.remove(EMBEDDING_MODEL, namespace=KEY.namespace, name=KEY.name)
    cluster.create_model(spec)
    await wait_in_vain(cluster, START_SECONDS * 0.9)
    assert cluster.says("Reconciling") == ("True", "QuotaExceeded")
