"""Why a model, a file or a device is refused reaches the conditions under its own reason, and goes with its cause."""

import json

import pytest
from model_samples import hub_spec, refused, request_token, resolved
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason
from embedding_operator.kube.gateway import DEPLOYMENT
from embedding_operator.reconcile.outcome import Done, Stalled


@pytest.mark.parametrize(
    "reason",
    [
        Reason.INVALID_FILE,
        Reason.UNSAFE_PATH,
        Reason.TOO_LARGE,
        Reason.UNSUPPORTED_FORMAT,
        Reason.ADAPTER_ONLY,
        Reason.UNSUPPORTED_ARCHITECTURE,
        Reason.REMOTE_CODE_REQUIRED,
        Reason.NOT_AN_EMBEDDING_MODEL,
        Reason.CONTRADICTORY_EVIDENCE,
        Reason.AMBIGUOUS_TASK,
        Reason.TASK_MISMATCH,
    ],
)
async def test_a_model_that_is_refused_gets_no_pod_until_it_is_another(
    cluster: SimulatedCluster, reason: Reason
) -> None:
    cluster.facts.resolutions[request_token()] = refused(reason, "config.json: this is why")
    cluster.create_model(hub_spec())
    assert await cluster.settle() == Stalled(reason)
    assert cluster.says("Resolved") == ("False", reason)
    assert cluster.says("Stalled") == ("True", reason)
    assert "this is why" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.all(DEPLOYMENT) == []
    cluster.facts.resolutions[request_token()] = resolved()
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    "reason",
    [
        Reason.INCOMPLETE_WEIGHTS,
        Reason.UNEXPECTED_WEIGHTS,
        Reason.INVALID_AUTH,
        Reason.DEVICE_UNAVAILABLE,
    ],
)
async def test_what_a_pod_refuses_to_start_with_stalls_the_model_in_its_words(
    cluster: SimulatedCluster, reason: Reason
) -> None:
    words = json.dumps({"reason": reason.value, "message": "this is why"})
    ended = {"terminated": {"exitCode": 1, "message": words}}
    container = {"name": "runtime", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    cluster.trouble = lambda pod: {"phase": "Running", "containerStatuses": [container]}
    cluster.create_model(hub_spec())
    assert await cluster.settle() == Stalled(reason)
    assert cluster.says("Ready") == ("False", reason)
    assert cluster.says("Stalled") == ("True", reason)
    assert "this is why" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
