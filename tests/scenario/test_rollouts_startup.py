"""spec.rollout.startupTimeoutSeconds: a pod that loads for long is called slow, and is reported after that time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from model_samples import hub_spec
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT
from embedding_operator.reconcile.outcome import Done, Stalled, Wait


def _write(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _message(cluster: SimulatedCluster, kind: str = "Ready") -> str:
    condition = cluster.condition(kind)
    assert condition is not None
    return str(condition["message"])


def _loading(since: datetime, *, started: bool = False) -> dict[str, Any]:
    state = {"running": {"startedAt": _write(since)}}
    server = {"name": names.CONTAINER_RUNTIME, "started": started, "state": state}
    never = {"type": "Ready", "status": "False", "lastTransitionTime": _write(since - timedelta(seconds=5))}
    return {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [server], "conditions": [never]}


def _restarted(since: datetime, *, after: float, restarted: datetime) -> dict[str, Any]:
    """What a pod says whose container the kubelet ended because its startup probe did not succeed in time."""
    status = {**_loading(restarted), "conditions": _loading(since)["conditions"]}
    ended = {"exitCode": 137, "reason": "Error", "startedAt": _write(since)}
    ended["finishedAt"] = _write(since + timedelta(seconds=after))
    status["containerStatuses"][0]["lastState"] = {"terminated": ended}
    return status


async def _settle_with(cluster: SimulatedCluster, status: Mapping[str, Any]) -> Any:
    cluster.trouble = lambda pod: status
    return await cluster.settle()


@pytest.fixture
def slow(cluster: SimulatedCluster) -> SimulatedCluster:
    """Its pods have all been loading since now."""
    cluster.create_model(hub_spec(rollout={"startupTimeoutSeconds": 600}))
    return cluster


async def test_a_pod_that_loads_is_looked_at_again_when_it_becomes_slow(slow: SimulatedCluster) -> None:
    outcome = await _settle_with(slow, _loading(slow.now))
    assert slow.says("Reconciling") == ("True", "Progressing")
    assert isinstance(outcome, Wait)
    assert 50 <= outcome.after_seconds <= 60


async def test_a_pod_that_loads_for_long_is_called_slow_with_the_number_and_its_reason(slow: SimulatedCluster) -> None:
    status = _loading(slow.now)
    slow.pass_time(120)
    outcome = await _settle_with(slow, status)
    assert slow.says("Ready") == ("False", "SlowStart")
    assert slow.says("Reconciling") == ("True", "SlowStart")
    assert "more than 60 s" in _message(slow)
    assert "MB/s" in _message(slow)
    assert "10 minutes" in _message(slow)
    assert isinstance(outcome, Wait)
    assert 400 <= outcome.after_seconds <= 480


async def test_a_pod_that_is_not_ready_in_time_is_reported_and_heals_by_itself(slow: SimulatedCluster) -> None:
    status = _loading(slow.now, started=True)
    slow.pass_time(601)
    assert await _settle_with(slow, status) == Stalled("StartupTimeout")
    assert slow.says("Stalled") == ("True", "StartupTimeout")
    assert "10 minutes" in _message(slow)
    assert "spec.rollout.startupTimeoutSeconds" in _message(slow)
    slow.trouble = lambda pod: None
    assert await slow.settle() == Done()
    assert slow.says("Ready") == ("True", "Serving")
    assert slow.says("Stalled") is None


async def test_a_pod_that_is_ended_and_started_anew_for_it_is_still_reported(slow: SimulatedCluster) -> None:
    began = slow.now
    slow.pass_time(660)
    status = _restarted(began, after=599, restarted=slow.now)
    assert await _settle_with(slow, status) == Stalled("StartupTimeout")
    assert "still loading its model, and is started anew" in _message(slow)


async def test_a_container_that_died_of_itself_earlier_is_no_timeout(slow: SimulatedCluster) -> None:
    began = slow.now
    slow.pass_time(30)
    await _settle_with(slow, _restarted(began, after=20, restarted=slow.now))
    assert slow.says("Ready") == ("False", "CrashLooping")


async def test_a_pod_that_was_ready_for_hours_and_is_so_no_more_is_no_slow_start(slow: SimulatedCluster) -> None:
    began = slow.now
    slow.pass_time(7200)
    status = _loading(began, started=True)
    status["conditions"][0]["lastTransitionTime"] = _write(slow.now)
    await _settle_with(slow, status)
    assert slow.says("Ready") == ("False", "Verifying")


async def test_a_pod_that_served_for_hours_and_died_is_no_timeout(slow: SimulatedCluster) -> None:
    began = slow.now
    slow.pass_time(7200)
    status = _restarted(began, after=7190, restarted=slow.now)
    status["conditions"][0]["lastTransitionTime"] = _write(began + timedelta(seconds=7190))
    await _settle_with(slow, status)
    assert slow.says("Ready") == ("False", "CrashLooping")


async def test_the_pods_before_serve_on(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    pods = cluster.ready_pods()
    began = cluster.now
    cluster.pass_time(2000)
    cluster.trouble = lambda pod: None if pod["metadata"]["name"] in pods else _loading(began)
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "StartupTimeout")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.ready_pods() == pods
    assert "2 ready pods go on serving" in _message(cluster)


async def test_another_time_is_rendered_and_the_default_changes_no_pod(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(rollout={"startupTimeoutSeconds": 1800}))
    await cluster.settle()
    assert cluster.ready_pods() == pods
    cluster.edit_spec(lambda spec: spec.update(rollout={"startupTimeoutSeconds": 61}))
    await cluster.settle()
    (deployment,) = cluster.all(DEPLOYMENT)
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 62
    assert deployment["spec"]["progressDeadlineSeconds"] == 3600 + 61
    assert not cluster.ready_pods() & pods
