"""Who else says how many replicas there are: an autoscaler, `kubectl scale`, and a quota that refuses them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from nodes_under_test import MODELS, SERVERS, NodesWorld, names_of

pytestmark = pytest.mark.apiserver


def scale_path(name: str, *, namespace: str) -> str:
    return f"{MODELS.format(namespace)}/{name}/scale"


def autoscaler(name: str, *, namespace: str, bounds: Sequence[int]) -> Mapping[str, Any]:
    """Without metrics: what it does all the same is to bring the replicas within its bounds."""
    target = {"apiVersion": "embedding-operator.dev/v1alpha1", "kind": "EmbeddingModel", "name": name}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": bounds[0], "maxReplicas": bounds[1], "metrics": [cpu]},
    }


def test_an_autoscaler_owns_the_replicas_and_finds_the_pods(world: NodesWorld, namespace: str) -> None:
    world.serve("scaled", namespace=namespace)
    first = world.pods(namespace=namespace)
    scale = world.rig.server.request("GET", scale_path("scaled", namespace=namespace))
    assert scale["status"]["replicas"] == 1
    found = world.cluster.list("pods", namespace=namespace, labels=scale["status"]["selector"])
    assert names_of(found) == names_of(first)
    world.cluster.apply(autoscaler("scaled", namespace=namespace, bounds=(3, 5)))
    world.wait_ready("scaled", namespace=namespace, replicas=3)
    assert names_of(first) < names_of(world.pods(namespace=namespace))
    assert world.cluster.get("poddisruptionbudget", "scaled", namespace=namespace) is not None
    world.apply("scaled", namespace=namespace, rollout={"startupTimeoutSeconds": 900})
    world.wait_ready("scaled", namespace=namespace, replicas=3)
    assert len(world.pods(namespace=namespace)) == 3
    world.cluster.apply(autoscaler("scaled", namespace=namespace, bounds=(1, 2)))
    world.wait_ready("scaled", namespace=namespace, replicas=2)
    assert world.model("scaled", namespace=namespace)["spec"]["replicas"] == 2


def test_none_and_back_passes_the_gate_again(world: NodesWorld, namespace: str) -> None:
    world.serve("scaled", namespace=namespace, replicas=2)
    world.cluster.kubectl("scale", "em/scaled", "-n", namespace, "--replicas=0")
    world.wait_reason("scaled", namespace=namespace, kind="Ready", reason="ScaledToZero")
    world.operator.wait_for(
        "no pod is left", lambda: not world.cluster.list("pods", namespace=namespace, labels=SERVERS)
    )
    assert world.cluster.get("poddisruptionbudget", "scaled", namespace=namespace) is None
    verdicts = world.responder.answered["POST /verdict"]
    world.cluster.kubectl("scale", "em/scaled", "-n", namespace, "--replicas=1")
    world.wait_reason("scaled", namespace=namespace, kind="Ready", reason="Serving")
    assert world.responder.answered["POST /verdict"] > verdicts


def test_a_quota_is_said_in_its_own_words_and_heals_when_it_is_raised(world: NodesWorld, namespace: str) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": namespace},
        "spec": {"hard": {"pods": "1"}},
    }
    world.cluster.apply(quota)
    world.operator.wait_for(
        "the quota is counted",
        lambda: world.cluster.must_get("resourcequota", "small", namespace=namespace).get("status", {}).get("hard"),
    )
    world.apply("pair", namespace=namespace, replicas=2)
    said = world.wait_reason("pair", namespace=namespace, kind="Reconciling", reason="QuotaExceeded")
    assert "exceeded quota: small" in said["message"]
    world.wait_reason("pair", namespace=namespace, kind="Available", reason="MinimumAvailable")
    world.cluster.kubectl(
        *("patch", "resourcequota", "small", "-n", namespace, "--type=merge"),
        *("-p", json.dumps({"spec": {"hard": {"pods": "3"}}})),
    )
    world.wait_ready("pair", namespace=namespace, replicas=2)
