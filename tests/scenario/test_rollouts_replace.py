"""strategy: Replace: the old pods go first, for want of a spare device, and the status says that there is a gap."""

from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, reference_jobs
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT, POD
from embedding_operator.reconcile.outcome import Done

REPLACE = {"strategy": "Replace"}


def _message(cluster: SimulatedCluster, kind: str) -> str:
    condition = cluster.condition(kind)
    assert condition is not None
    return str(condition["message"])


def _spaces_with_pods(cluster: SimulatedCluster) -> set[str]:
    return {pod["metadata"]["labels"][names.LABEL_SPACE] for pod in cluster.pods()}


async def _serve(cluster: SimulatedCluster, **parts: Any) -> str:
    cluster.create_model(hub_spec(rollout=REPLACE, **parts))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    return cluster.selected_space()


def _hold(cluster: SimulatedCluster, *, but: str) -> None:
    """Pods of every space but one stay where they are before they start."""
    cluster.trouble = lambda pod: None if pod["metadata"]["labels"][names.LABEL_SPACE] == but else {"phase": "Pending"}


async def test_another_space_comes_up_only_when_the_pods_before_are_gone(cluster: SimulatedCluster) -> None:
    old = await _serve(cluster, replicas=2)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    seen = set()
    for _ in range(20):
        await cluster.reconcile()
        assert len(_spaces_with_pods(cluster)) <= 1, "two generations held devices at a time"
        seen.add((cluster.says("Ready"), cluster.says("Available")))
        cluster.step()
        assert len(_spaces_with_pods(cluster)) <= 1, "two generations held devices at a time"
    assert (("False", "Replacing"), ("False", "Replacing")) in seen
    assert await cluster.settle() == Done()
    assert cluster.replicas() == {old: 0, cluster.selected_space(): 2}
    assert cluster.selected_space() != old
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Available") == ("True", "MinimumAvailable")


async def test_the_gap_is_told_with_its_reason(cluster: SimulatedCluster) -> None:
    old = await _serve(cluster)
    _hold(cluster, but=old)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "Replacing")
    assert cluster.says("Available") == ("False", "Replacing")
    for kind in ("Ready", "Available"):
        assert "spec.rollout.strategy is Replace" in _message(cluster, kind)
        assert old in _message(cluster, kind)
    assert cluster.status()["space"]["fingerprint"] == old
    assert cluster.status()["space"]["pending"] != old


async def test_pods_that_are_still_ending_hold_their_device(cluster: SimulatedCluster) -> None:
    old = await _serve(cluster)
    lingering = cluster.pods()[0]
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.reconcile()
    cluster.step()
    assert cluster.pods() == []
    owner = {"kind": "ReplicaSet", "name": f"{names.deployment_name(KEY.name, fingerprint=old)}-x", "controller": True}
    metadata = {
        "namespace": KEY.namespace,
        "name": "lingering",
        "labels": lingering["metadata"]["labels"],
        "deletionTimestamp": "2026-03-01T12:00:00Z",
        "ownerReferences": [{**owner, "uid": "gone"}],
    }
    cluster.gateway.put({**lingering, "metadata": metadata})
    await cluster.reconcile()
    await cluster.reconcile()
    assert set(cluster.replicas().values()) == {0}
    assert cluster.says("Reconciling") == ("True", "Replacing")
    assert "pod lingering is still ending" in _message(cluster, "Ready")
    cluster.gateway.remove(POD, namespace=KEY.namespace, name="lingering")
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_new_space_that_fails_its_gate_says_how_to_go_back_and_going_back_heals(
    cluster: SimulatedCluster,
) -> None:
    old = await _serve(cluster, verification=verified_by(golden("paris"), reference="Off"))
    before = cluster.model()["spec"]
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4), reference="Off")
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()
    failed = next(space for space, count in cluster.replicas().items() if count)
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Available") == ("False", "Replacing")
    assert "To go back" in _message(cluster, "Ready")
    assert cluster.selected_space() == old
    cluster.facts.resolutions.clear()  # nothing is resolved anew

    def go_back(spec: dict[str, Any]) -> None:
        spec.clear()
        spec.update(before)

    cluster.edit_spec(go_back)
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.selected_space() == old
    assert cluster.replicas() == {old: 1, failed: 0}


async def test_cases_that_cannot_be_used_take_nothing_away(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    pods = cluster.ready_pods()
    verification = verified_by(golden("long"), reference="Off")
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "InvalidGolden")
    assert cluster.ready_pods() == pods


async def test_a_profile_that_is_not_there_takes_nothing_away(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, runtime={"profile": "tpu"}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ProfileNotFound")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.ready_pods() == pods


async def test_within_a_space_an_old_pod_goes_before_a_new_one_comes(cluster: SimulatedCluster) -> None:
    space = await _serve(cluster, replicas=2)
    (deployment,) = cluster.all(DEPLOYMENT)
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    for _ in range(20):
        await cluster.reconcile()
        cluster.step()
        assert 1 <= len(cluster.pods()) <= 2
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.selected_space() == space


async def test_the_gap_of_a_single_pod_is_told_too(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    cluster.trouble = lambda pod: (
        {"phase": "Pending"} if "3Gi" in str(pod["spec"]["containers"][0]["resources"]) else None
    )
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "Replacing")
    assert cluster.says("Available") == ("False", "Replacing")
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_pod_that_fails_by_itself_is_no_gap_of_replace(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    cluster.trouble = lambda pod: {"phase": "Running", "podIP": "10.0.0.1"}
    cluster.step()
    await cluster.reconcile()
    assert cluster.says("Available") == ("False", "NotAvailable")
    assert "Replace" not in _message(cluster, "Ready")


async def test_first_pods_that_never_were_ready_hold_no_correction_up(cluster: SimulatedCluster) -> None:
    """Their Deployment was complete before there was room for them: it had none."""
    old = await _serve(cluster)
    _hold(cluster, but=old)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(resources={"requests": {"memory": "1Gi"}}, rollout={}))
    await cluster.reconcile()
    [new] = [item for item in cluster.all(DEPLOYMENT) if item["metadata"]["labels"][names.LABEL_SPACE] != old]
    assert new["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == "100%"


async def test_choosing_surge_in_the_middle_brings_the_pods_before_back(cluster: SimulatedCluster) -> None:
    old = await _serve(cluster)
    _hold(cluster, but=old)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(rollout={"strategy": "Surge"}))
    await cluster.settle()
    assert cluster.replicas()[old] == 1
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_choosing_replace_changes_no_template(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(rollout=REPLACE))
    assert await cluster.settle() == Done()
    assert cluster.ready_pods() == pods


async def test_pods_of_an_approved_space_that_run_already_make_nobody_wait(cluster: SimulatedCluster) -> None:
    old = await _serve(cluster)
    cluster.edit_spec(lambda spec: spec.update(space=old, embedding={"dimensions": 4}))
    await cluster.settle()
    pending = cluster.status()["space"]["pending"]
    assert cluster.replicas() == {old: 1, pending: 1}
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    for _ in range(8):
        await cluster.reconcile()
        assert len(cluster.ready_pods()) >= 1
        cluster.step()
    await cluster.settle()
    assert cluster.replicas() == {old: 0, pending: 1}


@pytest.mark.parametrize("replicas", [0, 3])
async def test_scaling_in_the_gap_counts_for_the_new_pods(cluster: SimulatedCluster, replicas: int) -> None:
    old = await _serve(cluster)
    _hold(cluster, but=old)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(replicas=replicas))
    await cluster.settle()
    coming = next(space for space in cluster.replicas() if space != old)
    assert cluster.replicas() == {old: 0, coming: replicas}


async def test_cases_of_the_new_space_are_computed_in_the_slot_of_the_pods_before(cluster: SimulatedCluster) -> None:
    verification = {"reference": "Auto"}
    cluster.create_model(hub_spec(rollout=REPLACE, verification=verification))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    old = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    for _ in range(8):
        await cluster.reconcile()
        assert not (reference_jobs(cluster) and cluster.pods() and old in _spaces_with_pods(cluster)), (
            "no device for both"
        )
        cluster.step()
    assert len(reference_jobs(cluster)) == 1
    assert cluster.replicas() == {old: 0}
    assert cluster.says("Reconciling") == ("True", "Replacing")
    assert cluster.says("Available") == ("False", "Replacing")
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.replicas() == {old: 0, cluster.selected_space(): 1}
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    assert cluster.selected_space() == old, "going back computes nothing"
    assert cluster.says("Ready") == ("True", "Serving")
