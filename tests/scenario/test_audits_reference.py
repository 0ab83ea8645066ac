"""Audits and the reference's cases: the holdout that no pod has, and pods that must do without a reference."""

from collections.abc import Callable
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, refuse_references
from simulated_cluster import SimulatedCluster

from embedding_model.goldens.cases import VectorCase
from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.observe.facts import AuditOrder, MemoryFacts

HOLDOUT = {"holdout.0", "holdout.1", "holdout.2"}


async def _ask_for_reference(cluster: SimulatedCluster, *, refused: bool = False, **verification: object) -> None:
    asked = {**verified_by(golden("paris")), "reference": "Auto", **verification}
    cluster.create_model(hub_spec(replicas=2, verification=asked))
    await cluster.settle()
    if refused:
        refuse_references(cluster)
    else:
        answer_references(cluster)
    await cluster.settle()


def _orders(cluster: SimulatedCluster) -> list[AuditOrder]:
    return [cluster.facts.audits_requested[pod["metadata"]["uid"]] for pod in _servers(cluster)]


def _servers(cluster: SimulatedCluster) -> list[dict[str, dict[str, dict[str, str]]]]:
    return [pod for pod in cluster.pods() if pod["metadata"]["labels"][names.LABEL_COMPONENT] == names.COMPONENT_SERVER]


async def test_pods_are_asked_the_references_cases_their_users_and_a_holdout_that_none_has_mounted(
    cluster: SimulatedCluster,
) -> None:
    await _ask_for_reference(cluster)
    assert cluster.says("Ready") == ("True", "Serving")
    orders = _orders(cluster)
    assert len(orders) == 2
    for order in orders:
        asked = [case.name for case in order.case_set.cases]
        assert asked[-1] == "paris"
        assert all(name.startswith("reference.") for name in asked[:-1])
        held = {case.name for case in order.holdout.cases}
        assert held
        assert held.isdisjoint(asked)
        assert order.objection == ""


async def test_a_pod_that_fails_only_what_it_does_not_know_never_becomes_ready(cluster: SimulatedCluster) -> None:
    asked = {**verified_by(), "reference": "Auto"}
    cluster.create_model(hub_spec(verification=asked))
    await cluster.settle()
    answer_references(cluster)
    answer_audits = cluster.answer_audits

    def fail_holdout() -> None:
        for uid, order in cluster.facts.audits_requested.items():
            cluster.ill[uid] = {case.name for case in order.holdout.cases}
        answer_audits()

    cluster.answer_audits = fail_holdout  # type: ignore[method-assign]
    await cluster.settle()
    assert cluster.ready_pods() == set()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert cluster.says("Stalled") == ("True", "AuditFailed")


async def test_under_warn_pods_without_their_reference_are_called_unverified_though_they_answer_rightly(
    cluster: SimulatedCluster,
) -> None:
    await _ask_for_reference(cluster, refused=True, failurePolicy="Warn")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    orders = _orders(cluster)
    assert len(orders) == 2
    assert all("without golden cases of the reference" in order.objection for order in orders)
    assert _verdicts(cluster) == [GateState.FAILED] * 2


def _verdicts(cluster: SimulatedCluster) -> list[GateState]:
    return [cluster.verdicts[pod["metadata"]["uid"]] for pod in _servers(cluster)]


def _block(spec: dict[str, Any]) -> None:
    spec["verification"]["failurePolicy"] = "Block"


def _change_space(spec: dict[str, Any]) -> None:
    spec.update(embedding={"dimensions": 4}, verification={**spec["verification"], "goldens": []})


def _drop_reference_for_another_space(spec: dict[str, Any]) -> None:
    _change_space(spec)
    spec["verification"]["reference"] = "Off"


@pytest.mark.parametrize("restarts", [False, True], ids=["the operator goes on", "another operator"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda spec: spec.update(suspend=True), id="suspended"),
        pytest.param(lambda spec: spec.update(replicas=-1), id="a spec that cannot be read"),
        pytest.param(_block, id="Block"),
        pytest.param(_change_space, id="another space"),
        pytest.param(_drop_reference_for_another_space, id="another space without a reference"),
        pytest.param(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}), id="computed anew"),
    ],
)
async def test_pods_that_went_without_their_reference_stay_unverified_for_as_long_as_they_serve_so(
    cluster: SimulatedCluster, change: Callable[[dict[str, Any]], None], restarts: bool
) -> None:
    await _ask_for_reference(cluster, refused=True, failurePolicy="Warn")
    before = {pod["metadata"]["uid"] for pod in _servers(cluster)}
    _hold_other_pods(cluster, known=before)
    if restarts:
        cluster.facts = MemoryFacts(resolutions=cluster.facts.resolutions, key_data=cluster.facts.key_data)
    cluster.edit_spec(change)
    for _ in range(6):
        await cluster.reconcile()
        cluster.step()
        assert {cluster.verdicts[uid] for uid in before} == {GateState.FAILED}
    assert before <= {pod["metadata"]["uid"] for pod in _servers(cluster)}
    assert before <= cluster.facts.audits_requested.keys(), "they are audited all the same"


def _hold_other_pods(cluster: SimulatedCluster, *, known: set[str]) -> None:
    """Pods that are not `known` never start."""
    cluster.trouble = lambda pod: None if pod["metadata"]["uid"] in known else {"phase": "Pending"}


@pytest.mark.parametrize("change", [_block, _change_space], ids=["Block", "another space"])
async def test_a_container_that_starts_anew_without_its_reference_is_unverified_as_well(
    cluster: SimulatedCluster, change: Callable[[dict[str, Any]], None]
) -> None:
    await _ask_for_reference(cluster, refused=True, failurePolicy="Warn")
    before = [pod["metadata"]["uid"] for pod in _servers(cluster)]
    _hold_other_pods(cluster, known=set(before))
    cluster.edit_spec(change)
    await cluster.settle()
    cluster.verdicts.clear()
    cluster.facts.audits.clear()
    for _ in range(6):
        cluster.step()
        await cluster.reconcile()
    assert [cluster.verdicts[uid] for uid in before] == [GateState.FAILED] * 2


async def test_once_the_reference_is_off_nothing_is_missed(cluster: SimulatedCluster) -> None:
    await _ask_for_reference(cluster, refused=True, failurePolicy="Warn")
    serving = {pod["metadata"]["uid"] for pod in _servers(cluster)}
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Off"))
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert {pod["metadata"]["uid"] for pod in _servers(cluster)} == serving
    assert _verdicts(cluster) == [GateState.PASSED] * 2


async def test_pods_that_would_close_are_not_told_that_they_fail_for_a_reference_that_they_were_not_made_with(
    cluster: SimulatedCluster,
) -> None:
    await _ask_for_reference(cluster, reference="Off")
    serving = cluster.ready_pods()
    assert len(serving) == 2
    _hold_other_pods(cluster, known={pod["metadata"]["uid"] for pod in _servers(cluster)})
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto", failurePolicy="Warn"))
    await cluster.settle()
    refuse_references(cluster)
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert serving <= cluster.ready_pods()


async def test_with_reference_off_a_pod_that_failed_what_it_did_not_know_comes_back(cluster: SimulatedCluster) -> None:
    cluster.answers_trials = False
    cluster.wrong = HOLDOUT
    await _ask_for_reference(cluster)
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert cluster.ready_pods() == set()
    shut = {pod["metadata"]["name"] for pod in _servers(cluster)}
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Off"))
    await cluster.settle()
    assert cluster.ready_pods() == shut, "before any other pod is made"
    assert cluster.says("Verified") == ("Unknown", "Verifying")
    cluster.answers_trials = True
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.says("Ready") == ("True", "Serving")
    for order in _orders(cluster):
        assert [case.name for case in order.case_set.cases] == ["paris"]
        assert order.holdout.cases == ()


@pytest.mark.parametrize("policy", ["Block", "Warn"])
async def test_with_reference_off_and_no_cases_only_checks_are_left(cluster: SimulatedCluster, policy: str) -> None:
    cluster.wrong = HOLDOUT
    await _ask_for_reference(cluster, goldens=[], failurePolicy=policy)
    assert cluster.says("Verified") == ("False", "AuditFailed")
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Off"))
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "NoGoldens")
    assert cluster.says("Ready") == ("True", "Serving")
    assert [(*order.case_set.cases, *order.holdout.cases) for order in _orders(cluster)] == [(), ()]


async def test_off_for_another_space_leaves_what_serves_its_own_cases(cluster: SimulatedCluster) -> None:
    await _ask_for_reference(cluster, goldens=[])
    serving = {pod["metadata"]["uid"] for pod in _servers(cluster)}
    _hold_other_pods(cluster, known=serving)
    cluster.edit_spec(_drop_reference_for_another_space)
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    for uid in serving:
        order = cluster.facts.audits_requested[uid]
        assert {case.name for case in order.holdout.cases} == HOLDOUT


async def test_a_reference_that_was_turned_on_closes_no_pod_that_serves_before_it_has_been_tried(
    cluster: SimulatedCluster,
) -> None:
    await _ask_for_reference(cluster, reference="Off")
    serving = cluster.ready_pods()
    cluster.wrong = {"reference.0", *HOLDOUT}
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "GoldenMismatch")
    assert cluster.ready_pods() == serving
    assert len(serving) == 2


@pytest.mark.parametrize("suspend", [False, True])
async def test_a_threshold_that_pods_do_not_reach_closes_none_that_serves(
    cluster: SimulatedCluster, suspend: bool
) -> None:
    """It is tried first, of what pods have mounted; they were made with another one."""
    cluster.cosine = "0.999500"
    await _ask_for_reference(cluster)
    serving = cluster.ready_pods()
    assert len(serving) == 2
    cluster.edit_spec(lambda spec: spec["verification"].update(minCosineSimilarity="0.9999"))
    cluster.edit_spec(lambda spec: spec.update(suspend=suspend))
    await cluster.settle()
    assert cluster.ready_pods() == serving
    if not suspend:
        assert cluster.says("Stalled") == ("True", "GoldenMismatch")
        assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_a_raised_threshold_holds_for_what_pods_do_not_know_once_they_are_made_with_it(
    cluster: SimulatedCluster,
) -> None:
    await _ask_for_reference(cluster)
    cluster.edit_spec(lambda spec: spec["verification"].update(minCosineSimilarity="0.9999"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    for order in _orders(cluster):
        assert {case.min_cosine_similarity for case in order.holdout.cases if isinstance(case, VectorCase)} == {
            "0.9999"
        }
