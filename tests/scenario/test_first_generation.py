"""From a new object to a verified, serving model."""

from collections import Counter

import pytest
from model_samples import COMMIT, golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    EVENT,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from embedding_operator.reconcile.outcome import Done, Stalled


async def test_a_new_model_becomes_ready_and_says_what_it_is(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden())))
    assert await cluster.settle() == Done()
    status = cluster.status()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.says("Resolved") == ("True", "Resolved")
    assert cluster.condition("Reconciling") is None
    assert cluster.condition("Stalled") is None
    assert status["observedGeneration"] == 1
    assert status["model"]["revision"] == COMMIT
    assert status["model"]["shortRevision"] == COMMIT[:12]
    assert status["model"]["requested"] == "main"
    assert status["verification"]["passed"] == status["verification"]["total"] == 1
    assert status["verification"]["worstCosine"] == "0.999990"
    assert status["pods"] == {"device": "cpu", "dtype": "float32", "runtimeImage": "runtime:1"}
    assert status["url"] == "http://tiny.search.svc:80"
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (2, 2, 2)
    assert status["space"] == {"fingerprint": cluster.selected_space()}


async def test_ready_is_said_once_the_service_reaches_a_pod(cluster: SimulatedCluster) -> None:
    cluster.lists_endpoints = False
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    outcome = await cluster.settle()
    assert cluster.says("Ready") == ("False", "NoEndpoints"), outcome
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    cluster.lists_endpoints = True
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_what_a_pod_said_before_it_had_checked_itself_is_not_told_of_it(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = cluster.status()
    [pod] = cluster.pods()
    report = cluster.facts.reports[pod["metadata"]["uid"]]
    early = report.model_copy(update={"state": GateState.PENDING, "results": (), "device": "cuda"})
    cluster.facts.reports[pod["metadata"]["uid"]] = early
    await cluster.reconcile()
    assert cluster.status()["pods"] == before["pods"]


async def test_a_model_is_never_current_before_it_serves(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    while not cluster.ready_pods():
        await cluster.reconcile()
        assert cluster.says("Ready") is not None
        assert cluster.condition("Ready")["status"] == "False"  # type: ignore[index]
        assert cluster.condition("Reconciling") is not None
        cluster.step()


async def test_the_service_exists_before_any_pod_is_ready(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.reconcile()
    assert cluster.find(SERVICE, KEY.name) is not None
    assert cluster.pods() == []


async def test_every_child_is_controlled_by_the_model_and_goes_with_it(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden())))
    await cluster.settle()
    kinds = (DEPLOYMENT, SERVICE, CONFIG_MAP, POD_DISRUPTION_BUDGET)
    children = [item for kind in kinds for item in cluster.all(kind)]
    assert len(children) == 7  # model, goldens, template and keys; Deployment, Service and budget
    for child in children:
        (owner,) = child["metadata"]["ownerReferences"]
        assert owner["uid"] == cluster.model()["metadata"]["uid"]
        assert owner["controller"] is True
        assert owner["blockOwnerDeletion"] is True
    cluster.gateway.remove(EMBEDDING_MODEL, namespace=KEY.namespace, name=KEY.name)
    assert await cluster.reconcile() == Done()
    assert [item for kind in kinds for item in cluster.all(kind)] == []


async def test_nothing_but_status_is_written_on_the_users_object(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    before = cluster.model()
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    cluster.step()
    await cluster.reconcile()
    after = cluster.model()
    assert {call.verb for call in cluster.gateway.writes if call.kind == names.KIND} == {"apply_status"}
    assert {key: after["metadata"].get(key) for key in ("labels", "annotations", "finalizers")} == {
        key: before["metadata"].get(key) for key in ("labels", "annotations", "finalizers")
    }
    assert after["spec"] == before["spec"]


async def test_labels_of_gitops_tools_do_not_reach_the_children(cluster: SimulatedCluster) -> None:
    def label(model: dict) -> None:  # type: ignore[type-arg]
        model["metadata"]["labels"] = {"app.kubernetes.io/instance": "argo-app"}

    cluster.create_model(hub_spec())
    cluster.gateway.edit(EMBEDDING_MODEL, label, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    for child in [*cluster.all(DEPLOYMENT), *cluster.all(SERVICE), *cluster.all(CONFIG_MAP)]:
        assert all(key.startswith(names.GROUP) for key in child["metadata"]["labels"])


async def test_a_wrong_golden_lets_no_pod_serve_and_a_corrected_one_heals_it(cluster: SimulatedCluster) -> None:
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    assert await cluster.settle() == Stalled("GoldenMismatch")
    assert cluster.ready_pods() == set()
    assert cluster.says("Ready") == ("False", "GoldenMismatch")
    assert cluster.says("Stalled") == ("True", "GoldenMismatch")
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    assert cluster.says("Available") == ("False", "NotAvailable")
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert all(word in message for word in ("paris", "0.913000", "0.999"))

    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("capital", first=2.0))))
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.condition("Stalled") is None


async def test_without_golden_cases_verified_is_unknown_and_ready_allowed(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "NoGoldens")
    assert cluster.says("Ready") == ("True", "Serving")


async def test_under_warn_a_pod_that_fails_its_goldens_serves_and_the_status_says_so(cluster: SimulatedCluster) -> None:
    cluster.wrong.add("paris")
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"), failurePolicy="Warn")))
    # Under Warn the runtime opens the pod all the same.
    cluster.trouble = lambda pod: _opened(pod)
    await cluster.reconcile()
    cluster.step()
    uid = cluster.pods()[0]["metadata"]["uid"]
    cluster.trouble = lambda pod: None
    cluster.step()
    assert uid in cluster.facts.reports
    cluster.trouble = lambda pod: _opened(pod)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    assert cluster.condition("Stalled") is None


def _opened(pod: dict) -> dict:  # type: ignore[type-arg]
    running = {"name": "runtime", "started": True, "state": {"running": {}}}
    return {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "containerStatuses": [running],
        "conditions": [{"type": "Ready", "status": "True"}],
    }


async def test_events_tell_each_turn_once(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    assert sorted(event["reason"] for event in cluster.all(EVENT)) == ["GoldensPassed", "Resolved", "Serving"]
    cluster.wrong.add("paris")
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("paris", first=3.0))))
    await cluster.settle()
    warnings = [event["reason"] for event in cluster.all(EVENT) if event["type"] == "Warning"]
    assert warnings == ["GoldenMismatch"]


@pytest.mark.parametrize("name", ["a", "a" * 50])
async def test_names_of_all_children_are_valid_for_every_valid_name(name: str) -> None:
    from embedding_operator.api.names import deployment_name, job_name, template_configmap_name

    for child in (
        deployment_name(name, fingerprint="sp1-" + "f" * 32),
        template_configmap_name(name, content=b"x"),
        job_name(name, component="inspect", inputs="x"),
    ):
        assert len(child) <= 253
    assert len(deployment_name(name, fingerprint="sp1-" + "f" * 32)) <= 63
    assert len(job_name(name, component="inspect", inputs="x")) <= 63


async def test_a_deployment_that_is_ahead_of_its_pods_makes_nothing_ready(cluster: SimulatedCluster) -> None:
    """Watches of different kinds have no order: the count may arrive before the pod's own word."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    [pod] = cluster.pods()
    cluster.gateway.edit(
        POD,
        lambda item: item["status"].update(conditions=[{"type": "Ready", "status": "False"}]),
        namespace=KEY.namespace,
        name=pod["metadata"]["name"],
    )
    await cluster.reconcile()
    assert cluster.says("Ready") == ("False", "Verifying")
    assert cluster.says("Available") == ("False", "NotAvailable")
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_every_child_of_a_new_model_is_written_once_and_asked_for_by_nobody(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden())))
    while cluster.says("Ready") != ("True", "Serving"):
        await cluster.reconcile()
        cluster.step()
    calls = [call for call in cluster.gateway.calls if call.kind != names.KIND]
    assert [call for call in calls if call.verb == "get"] == []
    written = Counter((call.kind, call.name) for call in calls if call.verb == "apply")
    assert len(written) == 7  # model, goldens, template and keys; Deployment, Service and budget
    assert set(written.values()) == {1}
