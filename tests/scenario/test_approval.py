"""spec.space: the only vector space that a Service may serve."""

from typing import Any

import pytest
from model_samples import COMMIT, OTHER_COMMIT, golden, hub_spec, request_token, resolved, verified_by
from reference_samples import answer_references
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.resolved import Declared, Task
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, POD_DISRUPTION_BUDGET, SERVICE
from embedding_operator.reconcile.outcome import Done, Stalled

WRONG = "sp1-" + "f" * 32


def _services(cluster: SimulatedCluster) -> dict[str, str]:
    """The space that each Service selects, by the Service's name."""
    return {item["metadata"]["name"]: item["spec"]["selector"][names.LABEL_SPACE] for item in cluster.all(SERVICE)}


def _own_service(space: str) -> str:
    return names.pending_service_name(KEY.name, fingerprint=space)


def _message(cluster: SimulatedCluster, kind: str = "Stalled") -> str:
    condition = cluster.condition(kind)
    assert condition is not None
    return str(condition["message"])


async def _serve(cluster: SimulatedCluster, **parts: Any) -> str:
    """A model that serves one space, which spec.space approves."""
    cluster.create_model(hub_spec(**parts))
    await cluster.settle()
    space = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=space))
    await cluster.settle()
    return space


async def _ask_other_space(cluster: SimulatedCluster, *, dimensions: int = 4) -> str:
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": dimensions}))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    return str(cluster.status()["space"]["pending"])


def _let_endpoints_lag(cluster: SimulatedCluster, *, space: str) -> None:
    """No EndpointSlice changes any more, and that of the space's own Service stays when the Service goes."""
    cluster.lists_endpoints = False
    cluster.gateway.edit(
        ENDPOINT_SLICE,
        lambda item: item["metadata"].pop("ownerReferences"),
        namespace=KEY.namespace,
        name=f"{_own_service(space)}-slice",
    )


async def test_a_first_generation_of_another_space_has_only_a_service_of_its_own(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(space=WRONG))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    found = cluster.status()["space"]
    assert _services(cluster) == {_own_service(found["pending"]): found["pending"]}
    assert cluster.says("Ready") == ("False", "SpaceChangeNotApproved")
    assert cluster.says("Available") == ("False", "NotAvailable")
    assert cluster.says("Resolved") == ("True", "Resolved")
    assert "fingerprint" not in found
    assert "url" not in cluster.status()
    assert WRONG in _message(cluster)
    assert found["pending"] in _message(cluster)
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=found["pending"]))
    assert await cluster.settle() == Done()
    assert _services(cluster) == {KEY.name: found["pending"]}
    assert cluster.ready_pods() == pods
    assert "pending" not in cluster.status()["space"]


async def test_what_waits_for_approval_comes_up_verified_behind_its_own_service(cluster: SimulatedCluster) -> None:
    before = await _serve(cluster, replicas=2)
    pods, budgets = cluster.ready_pods(), cluster.all(POD_DISRUPTION_BUDGET)
    pending = await _ask_other_space(cluster)
    assert _services(cluster) == {KEY.name: before, _own_service(pending): pending}
    assert cluster.replicas() == {before: 2, pending: 2}
    assert len(cluster.ready_pods() - pods) == 2
    assert cluster.all(POD_DISRUPTION_BUDGET) == budgets
    assert f"http://{_own_service(pending)}.{KEY.namespace}.svc:80" in _message(cluster)
    assert "every pod is ready" in _message(cluster)
    assert cluster.status()["url"] == f"http://{KEY.name}.{KEY.namespace}.svc:80"


async def test_what_waits_for_approval_passes_a_gate_as_any(cluster: SimulatedCluster) -> None:
    before = await _serve(cluster)
    pods = cluster.ready_pods()
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4), reference="Off")
    cluster.edit_spec(lambda spec: spec.update(verification=verification))
    pending = await _ask_other_space(cluster)
    assert cluster.ready_pods() == pods
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    assert 'golden case "cut" failed' in _message(cluster)
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    assert await cluster.settle() == Stalled("GoldenMismatch")
    assert cluster.selected_space() == before, "approval is no way around the gate"
    assert cluster.ready_pods() == pods


async def test_a_pod_of_what_waits_for_approval_is_deleted_only_once_its_own_service_lists_it_no_more(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster, replicas=2)
    serving = {pod["metadata"]["uid"] for pod in cluster.pods()}
    await _ask_other_space(cluster)
    bad = next(pod["metadata"]["uid"] for pod in cluster.pods() if pod["metadata"]["uid"] not in serving)
    cluster.ill[bad] = {"check.batch"}
    cluster.lists_endpoints = False
    for _ in range(5):
        cluster.step()
        await cluster.reconcile()
    [pod] = [pod for pod in cluster.pods() if pod["metadata"]["uid"] == bad]
    assert pod["metadata"]["labels"][names.LABEL_TRAFFIC] == names.TRAFFIC_QUARANTINED
    cluster.lists_endpoints = True
    await cluster.settle()
    assert bad not in {pod["metadata"]["uid"] for pod in cluster.pods()}


async def test_what_waits_for_approval_is_served_by_the_model_s_service_once_that_lists_it(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(space=WRONG))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    pending = cluster.status()["space"]["pending"]
    _let_endpoints_lag(cluster, space=pending)
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    for _ in range(5):
        cluster.step()
        await cluster.reconcile()
    assert cluster.selected_space() == pending
    assert cluster.says("Ready") == ("False", "NoEndpoints"), "its own Service listed it"
    cluster.lists_endpoints = True
    assert await cluster.settle() == Done()


async def test_what_waits_for_approval_has_cases_of_the_reference_computed_first(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification={"reference": "Auto"}))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    before = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=before))
    pending = await _ask_other_space(cluster)
    assert cluster.replicas() == {before: 1}
    assert cluster.says("Verified") == ("Unknown", "ComputingReference")
    assert "reference implementation" in _message(cluster)
    answer_references(cluster)
    await cluster.settle()
    assert cluster.replicas() == {before: 1, pending: 1}
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert "every pod is ready" in _message(cluster)
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    assert await cluster.settle() == Done()
    assert cluster.ready_pods() < pods


async def test_what_is_said_of_a_pending_space_is_no_more_than_is_so(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    await _ask_other_space(cluster)
    assert "every pod is ready; there are no golden cases" in _message(cluster)
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    assert "spec.replicas is 0" in _message(cluster)
    assert "verified" not in _message(cluster)


async def test_approving_moves_to_the_pods_that_are_there_and_deletes_their_own_service(
    cluster: SimulatedCluster,
) -> None:
    before = await _serve(cluster, replicas=2)
    pending = await _ask_other_space(cluster)
    coming = {pod["metadata"]["uid"] for pod in cluster.pods() if pending in str(pod["metadata"]["labels"])}
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    for _ in range(8):
        await cluster.reconcile()
        services = _services(cluster)
        assert services[KEY.name] == pending or _own_service(pending) in services, "both Services were gone"
        cluster.step()
    assert await cluster.settle() == Done()
    assert _services(cluster) == {KEY.name: pending}
    assert cluster.replicas() == {before: 0, pending: 2}
    assert {pod["metadata"]["uid"] for pod in cluster.pods()} == coming


async def test_taking_the_change_back_takes_the_pods_and_the_service_away(cluster: SimulatedCluster) -> None:
    before = await _serve(cluster)
    pods = cluster.ready_pods()
    pending = await _ask_other_space(cluster)
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    assert await cluster.settle() == Done()
    assert _services(cluster) == {KEY.name: before}
    assert cluster.replicas() == {before: 1, pending: 0}
    assert cluster.ready_pods() == pods


async def test_of_two_changes_only_the_last_waits_for_approval(cluster: SimulatedCluster) -> None:
    before = await _serve(cluster)
    first = await _ask_other_space(cluster, dimensions=4)
    second = await _ask_other_space(cluster, dimensions=5)
    assert _services(cluster) == {KEY.name: before, _own_service(second): second}
    assert cluster.replicas() == {before: 1, first: 0, second: 1}


async def test_a_change_within_a_space_that_waits_is_rolled_out_there_alone(cluster: SimulatedCluster) -> None:
    before = await _serve(cluster)
    pods = cluster.ready_pods()
    pending = await _ask_other_space(cluster)
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    limits = {
        item["metadata"]["labels"][names.LABEL_SPACE]: item["spec"]["template"]["spec"]["containers"][0]["resources"][
            "limits"
        ]["memory"]
        for item in cluster.all(DEPLOYMENT)
    }
    assert limits[pending] == "3Gi" != limits[before]
    assert pods <= cluster.ready_pods()


@pytest.mark.parametrize("deleted", ["model's own", "pending"])
async def test_a_service_deleted_by_hand_while_a_space_waits_comes_back_as_it_was(
    cluster: SimulatedCluster, deleted: str
) -> None:
    await _serve(cluster)
    pending = await _ask_other_space(cluster)
    before = _services(cluster)
    name = KEY.name if deleted == "model's own" else _own_service(pending)
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=name)
    await cluster.settle()
    assert _services(cluster) == before


async def test_a_space_that_is_not_approved_never_gets_the_models_service_be_it_the_only_one_with_pods(
    cluster: SimulatedCluster,
) -> None:
    before = await _serve(cluster)
    pending = await _ask_other_space(cluster)
    cluster.trouble = lambda pod: None if pending in str(pod["metadata"]["labels"]) else {"phase": "Pending"}
    cluster.step()
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert _services(cluster).get(KEY.name) in (None, before)
    cluster.trouble = lambda pod: None
    await cluster.settle()
    assert _services(cluster) == {KEY.name: before, _own_service(pending): pending}


async def test_a_change_of_another_space_waits_for_the_users_word(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(space=before))
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    assert cluster.selected_space() == before
    assert pods < cluster.ready_pods()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.status()["model"]["dimensions"] == 8, "what serves is described"
    pending = cluster.status()["space"]["pending"]
    cluster.edit_spec(lambda spec: spec.update(replicas=3))
    await cluster.settle()
    assert cluster.replicas() == {before: 3, pending: 3}
    assert len(cluster.ready_pods()) == 6, "what serves is scaled all the same"
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    assert await cluster.settle() == Done()
    assert cluster.selected_space() == pending
    assert cluster.status()["model"]["dimensions"] == 4


async def test_taking_the_change_back_is_enough(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=before, embedding={"dimensions": 4}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    assert await cluster.settle() == Done()
    assert cluster.ready_pods() == pods


async def test_pods_of_what_is_taken_back_stay_as_long_as_their_own_service_lists_them(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster)
    pending = await _ask_other_space(cluster)
    _let_endpoints_lag(cluster, space=pending)
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    for _ in range(5):
        cluster.step()
        await cluster.reconcile()
    assert cluster.replicas()[pending] == 1
    assert cluster.facts.retired_pods == set()
    cluster.lists_endpoints = True
    assert await cluster.settle() == Done()
    assert cluster.replicas()[pending] == 0


async def test_taking_requested_at_away_takes_back_what_was_not_approved(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(space=cluster.selected_space()))
    cluster.facts.resolutions[request_token(requested_at="now")] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.request_anew("now")
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "SpaceChangeNotApproved")
    cluster.request_anew("")
    assert await cluster.settle() == Done()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.ready_pods() == pods


async def test_what_is_declared_is_read_again_at_the_same_commit(cluster: SimulatedCluster) -> None:
    """Writing spec.task must never follow a branch that has moved meanwhile."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared)] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.facts.resolutions[request_token(declared=declared, commit=COMMIT)] = resolved()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.ready_pods() == pods
    model = next(item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"])
    assert model["metadata"]["annotations"]["embedding-operator.dev/request"] == request_token(declared=declared)


async def test_what_is_declared_after_the_annotation_went_is_read_at_the_same_commit(cluster: SimulatedCluster) -> None:
    """The commit was asked for with requestedAt, and is the model's own ever since."""
    cluster.facts.resolutions[request_token(requested_at="now")] = resolved()
    cluster.create_model(hub_spec())
    cluster.request_anew("now")
    await cluster.settle()
    cluster.request_anew("")
    await cluster.settle()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared)] = resolved(revision=OTHER_COMMIT, seed="b")
    cluster.facts.resolutions[request_token(declared=declared, commit=COMMIT)] = resolved()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_hub_that_gives_other_bytes_under_the_same_commit_is_refused(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    token = request_token(declared=Declared(task=Task.EMBEDDING), commit=COMMIT)
    cluster.facts.resolutions[token] = resolved(seed="b")
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "HashMismatch")
    assert cluster.ready_pods() == pods


async def test_what_is_declared_and_asked_anew_follows_the_branch(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared, requested_at="now")] = resolved(revision=OTHER_COMMIT)
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    cluster.request_anew("now")
    await cluster.settle()
    assert cluster.status()["model"]["revision"] == OTHER_COMMIT
