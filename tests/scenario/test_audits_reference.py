"""Audits and the reference's cases: the holdout that no pod has, and pods that must do without a reference."""

from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, refuse_references
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.observe.facts import AuditOrder


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
    assert all("no class of transformers loads it" in order.objection for order in orders)


async def test_the_objection_holds_while_suspended_and_while_the_spec_cannot_be_read(cluster: SimulatedCluster) -> None:
    await _ask_for_reference(cluster, refused=True, failurePolicy="Warn")
    for change in ({"suspend": True}, {"suspend": False, "replicas": -1}):
        cluster.edit_spec(lambda spec, change=change: spec.update(change))
        for _ in range(3):
            cluster.facts.audits_requested.clear()
            cluster.step()
            await cluster.reconcile()
            assert [bool(order.objection) for order in _orders(cluster)] == [True, True]
    assert cluster.says("Stalled") == ("True", "InvalidSpec")
