"""What Verified and status.verification claim: nothing that nobody verified, and nothing better than what is known."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from faulty_gateway import Crash, FaultyGateway
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import GateState
from embedding_operator.kube.gateway import DEPLOYMENT, POD
from embedding_operator.observe.facts import MemoryFacts

Edit = Callable[[dict[str, Any]], object]

PARIS, ROME = golden("paris"), golden("rome", first=2.0)
SCALED_TO_ZERO = ("Unknown", "ScaledToZero")
OTHERS: dict[str, Edit] = {
    "another space": lambda spec: spec.update(embedding={"prompts": [{"name": "query", "text": "another: "}]}),
    "another template": lambda spec: spec.update(runtime={"dtype": "Float16"}),
    "other cases": lambda spec: spec.update(verification=verified_by(golden("berlin", first=9.0))),
}


class DiesBeforeTheStatus(FaultyGateway):
    async def apply_status(self, *arguments: object, **parts: object) -> None:
        raise Crash("before the status")


def _passed(cluster: SimulatedCluster) -> tuple[int, int]:
    said = cluster.status()["verification"]
    return said["passed"], said["total"]


def _restart(cluster: SimulatedCluster) -> None:
    """What the pods and the hub told is forgotten."""
    cluster.facts = MemoryFacts(key_data=cluster.facts.key_data)
    cluster.gateway.forget_calls()


@pytest.fixture
async def at_zero(cluster: SimulatedCluster) -> SimulatedCluster:
    """Verified, and scaled to zero afterwards."""
    cluster.create_model(hub_spec(verification=verified_by(PARIS)))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert _passed(cluster) == (1, 1)
    return cluster


@pytest.mark.parametrize("edit", OTHERS.values(), ids=OTHERS)
async def test_without_pods_what_is_asked_for_anew_is_not_called_verified(
    at_zero: SimulatedCluster, edit: Edit
) -> None:
    at_zero.edit_spec(edit)
    await at_zero.settle()
    assert at_zero.says("Ready") == ("True", "ScaledToZero")
    assert at_zero.says("Verified") == SCALED_TO_ZERO
    assert _passed(at_zero) == (0, 1)
    assert "worstCosine" not in at_zero.status()["verification"]
    at_zero.edit_spec(lambda spec: spec.update(replicas=1))
    await at_zero.settle()
    assert at_zero.says("Verified") == ("True", "GoldensPassed")
    assert _passed(at_zero) == (1, 1)


@pytest.mark.parametrize("edit", OTHERS.values(), ids=OTHERS)
async def test_what_is_asked_for_together_with_no_pods_is_not_called_verified(
    cluster: SimulatedCluster, edit: Edit
) -> None:
    cluster.create_model(hub_spec(verification=verified_by(PARIS)))
    await cluster.settle()
    cluster.edit_spec(lambda spec: (edit(spec), spec.update(replicas=0)))
    await cluster.settle()
    assert cluster.says("Verified") == SCALED_TO_ZERO
    assert _passed(cluster) == (0, 1)


@pytest.mark.parametrize("edit", OTHERS.values(), ids=OTHERS)
async def test_an_operator_that_died_before_it_said_so_claims_no_more(at_zero: SimulatedCluster, edit: Edit) -> None:
    """The Deployment is rendered anew, and the status is that of before."""
    at_zero.edit_spec(edit)
    before = at_zero.all(DEPLOYMENT)
    with pytest.raises(Crash):
        await at_zero.reconcile(gateway=DiesBeforeTheStatus(at_zero.gateway))
    assert at_zero.all(DEPLOYMENT) != before
    assert at_zero.says("Verified") == ("True", "GoldensPassed")
    await at_zero.settle()
    assert at_zero.says("Verified") == SCALED_TO_ZERO
    assert _passed(at_zero) == (0, 1)


async def test_without_pods_a_space_that_served_once_is_not_called_what_another_one_was(
    cluster: SimulatedCluster,
) -> None:
    """Its Deployment is kept for the way back, made of just what is asked for."""
    cluster.create_model(hub_spec(verification=verified_by(PARIS)))
    await cluster.settle()
    cluster.edit_spec(OTHERS["another space"])
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    cluster.edit_spec(lambda spec: (spec.pop("embedding"), spec.update(replicas=0)))
    await cluster.settle()
    assert cluster.says("Verified") == SCALED_TO_ZERO


async def test_without_pods_what_changes_no_template_leaves_verified_what_was(at_zero: SimulatedCluster) -> None:
    at_zero.edit_spec(lambda spec: spec.update(rollout={"strategy": "Replace"}))
    await at_zero.settle()
    _restart(at_zero)
    await at_zero.settle()
    assert at_zero.says("Verified") == ("True", "GoldensPassed")
    assert _passed(at_zero) == (1, 1)


async def test_a_space_that_was_verified_beside_the_served_one_is_not_what_the_served_one_says_without_pods(
    cluster: SimulatedCluster,
) -> None:
    """Pods of the served space fail; another space is verified behind a Service of its own, and taken back."""
    cluster.create_model(hub_spec(verification=verified_by(PARIS)))
    await cluster.settle()
    served = cluster.selected_space()
    failed = cluster.pods()[0]["metadata"]
    cluster.ill[failed["uid"]] = {"paris"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    cluster.edit_spec(lambda spec: (OTHERS["another space"](spec), spec.update(space=served)))
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    cluster.edit_spec(lambda spec: (spec.pop("embedding"), spec.update(replicas=0)))
    cluster.gateway.remove(POD, namespace=KEY.namespace, name=failed["name"])  # evicted, say
    await cluster.settle()
    assert cluster.says("Verified") == SCALED_TO_ZERO


@pytest.fixture
async def one_shut(cluster: SimulatedCluster) -> SimulatedCluster:
    """One of two pods fails its audits, is shut and out of the Service, and waits to be replaced."""
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(PARIS, ROME)))
    await cluster.settle()
    return await _shut_one(cluster)


async def _shut_one(cluster: SimulatedCluster) -> SimulatedCluster:
    cluster.lists_endpoints = False  # until these tell that it is out, it stays
    cluster.ill[cluster.pods()[0]["metadata"]["uid"]] = {"rome"}
    for _ in range(3):
        cluster.step()
        await cluster.reconcile()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert len(cluster.ready_pods()) == 1
    return cluster


async def _restart_without_a_write(cluster: SimulatedCluster) -> None:
    """Before it has heard of a pod, and once it has heard what pods found and were told, but has audited none."""
    said = cluster.status()
    _restart(cluster)
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    cluster.answers_audits = False
    cluster.step()
    assert GateState.FAILED in {report.verdict for report in cluster.facts.reports.values()}
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    assert cluster.status() == said


async def test_a_restarted_operator_goes_on_calling_unverified_what_has_a_pod_that_is_shut(
    one_shut: SimulatedCluster,
) -> None:
    await _restart_without_a_write(one_shut)


async def test_a_restarted_operator_does_so_of_cases_in_a_config_map(cluster: SimulatedCluster) -> None:
    lines = "".join(f"{json.dumps(case)}\n" for case in (PARIS, ROME))
    metadata = {"namespace": KEY.namespace, "name": "mine"}
    cluster.gateway.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"goldens.jsonl": lines}}
    )
    verification = {**verified_by(), "goldensConfigMapRef": {"name": "mine"}}
    cluster.create_model(hub_spec(replicas=2, verification=verification))
    await cluster.settle()
    await _restart_without_a_write(await _shut_one(cluster))


async def test_a_restarted_operator_does_so_under_warn_where_the_pod_serves(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(PARIS, ROME, failurePolicy="Warn")))
    await cluster.settle()
    cluster.ill[cluster.pods()[0]["metadata"]["uid"]] = {"rome"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert len(cluster.ready_pods()) == 2
    await _restart_without_a_write(cluster)


async def test_what_it_repeats_goes_as_soon_as_every_pod_has_passed(one_shut: SimulatedCluster) -> None:
    _restart(one_shut)
    one_shut.ill.clear()
    one_shut.lists_endpoints = True
    await one_shut.settle()
    assert one_shut.says("Verified") == ("True", "GoldensPassed")
    assert one_shut.says("Ready") == ("True", "Serving")
    assert _passed(one_shut) == (2, 2)


async def test_a_case_that_failed_in_the_audit_alone_counts_as_failed(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(PARIS, ROME)))
    await cluster.settle()
    assert cluster.status()["verification"]["worstCosine"] == cluster.cosine
    cluster.ill[cluster.pods()[0]["metadata"]["uid"]] = {"rome"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert _passed(cluster) == (1, 2)
    assert cluster.status()["verification"]["worstCosine"] == "0.913000"


async def test_a_case_that_no_pod_has_counts_as_none_of_theirs_and_is_the_worst_cosine_all_the_same(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(verification={**verified_by(PARIS), "reference": "Auto"}))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert _passed(cluster) == (4, 4)
    cluster.ill[cluster.pods()[0]["metadata"]["uid"]] = {"holdout.0"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert _passed(cluster) == (4, 4)
    assert cluster.status()["verification"]["worstCosine"] == "0.913000"


async def test_what_is_asked_beside_the_cases_counts_as_none_of_them(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(PARIS, ROME)))
    await cluster.settle()
    cluster.ill[cluster.pods()[0]["metadata"]["uid"]] = {"check.replicas"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert _passed(cluster) == (2, 2)
    assert cluster.status()["verification"]["worstCosine"] == cluster.cosine
