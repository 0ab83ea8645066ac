"""Wall two and the conditions: who is asked what, and what a failed audit says."""

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.goldens.cases import CaseSet
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP
from embedding_operator.observe.facts import MemoryFacts
from embedding_operator.reconcile.outcome import Stalled


async def _serve(cluster: SimulatedCluster, *goldens: str, **parts: object) -> None:
    cases = [golden(name) for name in goldens or ("paris",)]
    cluster.create_model(hub_spec(verification=verified_by(*cases), **parts))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


def _uids(cluster: SimulatedCluster) -> list[str]:
    return [pod["metadata"]["uid"] for pod in cluster.pods()]


def _fail_new_pods(cluster: SimulatedCluster, *cases: str) -> None:
    """Pods that are made from now on answer these cases wrongly, and only wall two sees it."""
    known = set(_uids(cluster))
    answer_audits = cluster.answer_audits

    def answer() -> None:
        for uid in set(_uids(cluster)) - known:
            cluster.ill[uid] = set(cases)
        answer_audits()

    cluster.answer_audits = answer  # type: ignore[method-assign]


async def test_every_started_pod_is_asked_the_cases_that_it_has_mounted(cluster: SimulatedCluster) -> None:
    await _serve(cluster, "paris", "rome", replicas=2)
    orders = [cluster.facts.audits_requested[uid] for uid in _uids(cluster)]
    assert len(orders) == 2
    mounted = [item for item in cluster.all(CONFIG_MAP) if "-goldens-" in item["metadata"]["name"]]
    assert {order.case_set.to_jsonl().decode() for order in orders} == {mounted[0]["data"]["goldens.jsonl"]}
    assert {order.space for order in orders} == {cluster.selected_space()}
    assert {order.serving.dimensions for order in orders} == {8}


async def test_a_pod_is_audited_before_it_is_ready(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    while not cluster.facts.audits_requested:
        cluster.step()
        assert cluster.ready_pods() == set()
        await cluster.reconcile()
    await cluster.settle()
    assert len(cluster.ready_pods()) == 1


async def test_pods_without_golden_cases_are_audited_all_the_same(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "NoGoldens")
    assert [order.case_set for order in cluster.facts.audits_requested.values()] == [CaseSet(cases=())]


async def test_a_new_generation_that_fails_its_audit_gets_no_traffic_and_the_message_says_which_case(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster)
    before, pods = cluster.selected_space(), cluster.ready_pods()
    _fail_new_pods(cluster, "rome")
    cluster.edit_spec(
        lambda spec: spec.update(embedding={"dimensions": 4}, verification=verified_by(golden("rome", dimensions=4)))
    )
    assert await cluster.settle() == Stalled("AuditFailed")
    assert (cluster.selected_space(), cluster.ready_pods()) == (before, pods)
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert cluster.says("Ready") == ("False", "AuditFailed")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    message = cluster.condition("Verified")["message"]  # type: ignore[index]
    assert all(word in message for word in ('"rome"', "0.913000", "threshold 0.999"))
    assert not [call for call in cluster.gateway.writes if call.kind == "Pod"]


async def test_a_pod_of_a_new_template_that_never_was_ready_is_not_quarantined_and_the_message_says_why(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster, replicas=2)
    _fail_new_pods(cluster, "paris")
    cluster.edit_spec(lambda spec: spec.update(runtime={"dtype": "Float32"}))
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert "No other pod of its template is known to answer rightly" in str(cluster.condition("Verified"))
    assert {pod["metadata"]["labels"][names.LABEL_TRAFFIC] for pod in cluster.pods()} == {"on"}
    assert len(cluster.ready_pods()) == 2


async def test_what_a_failed_audit_says_goes_when_the_pod_passes_again(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    [uid] = _uids(cluster)
    cluster.ill[uid] = {"paris"}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    cluster.ill.clear()
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.says("Ready") == ("True", "Serving")


async def test_under_warn_a_pod_that_fails_its_audit_serves_and_is_called_unverified(cluster: SimulatedCluster) -> None:
    verification = {**verified_by(golden("paris")), "failurePolicy": "Warn"}
    cluster.create_model(hub_spec(verification=verification))
    await cluster.settle()
    [uid] = _uids(cluster)
    cluster.ill[uid] = {"paris"}
    served = {"conditions": [{"type": "Ready", "status": "True"}]}
    cluster.trouble = lambda pod: {**pod["status"], **served}
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert cluster.says("Ready") == ("True", "Serving")
    assert "failurePolicy is Warn" in cluster.condition("Verified")["message"]  # type: ignore[index]
    assert {pod["metadata"]["labels"][names.LABEL_TRAFFIC] for pod in cluster.pods()} == {"on"}


async def test_a_restarted_operator_does_not_doubt_pods_that_serve(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    said = cluster.status()["conditions"]
    cluster.facts = MemoryFacts(resolutions=cluster.facts.resolutions, key_data=cluster.facts.key_data)
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    assert cluster.status()["conditions"] == said
    assert set(cluster.facts.audits_requested) == set(_uids(cluster)), "and audits them at once"


async def test_a_restarted_operator_repeats_what_a_failed_audit_said_until_it_has_asked_again(
    cluster: SimulatedCluster,
) -> None:
    await _serve(cluster)
    cluster.ill[_uids(cluster)[0]] = {"paris"}
    await cluster.settle()
    said = cluster.status()["conditions"]
    reports = cluster.facts.reports
    cluster.facts = MemoryFacts(resolutions=cluster.facts.resolutions, key_data=cluster.facts.key_data, reports=reports)
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert cluster.gateway.writes == ()
    assert cluster.status()["conditions"] == said


@pytest.mark.parametrize("verified_by_cases", [True, False])
async def test_a_space_whose_pods_opened_while_no_operator_was_there_is_audited_before_the_service_moves(
    cluster: SimulatedCluster, verified_by_cases: bool
) -> None:
    def cases(dimensions: int) -> dict[str, object]:
        return verified_by(*([golden("paris", dimensions=dimensions)] if verified_by_cases else []))

    cluster.create_model(hub_spec(verification=cases(8)))
    await cluster.settle()
    before = cluster.selected_space()
    cluster.answers_audits = False
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=cases(4)))
    await cluster.settle()
    assert len(cluster.ready_pods()) == 2
    assert cluster.selected_space() == before
    assert cluster.says("Verified") == ("Unknown", "Verifying")
    assert cluster.says("Ready") == ("False", "Verifying")
    cluster.answers_audits = True
    await cluster.settle()
    assert cluster.selected_space() != before
    assert cluster.says("Ready")[0] == "True"  # type: ignore[index]


async def test_pods_that_the_operator_cannot_reach_are_left_to_wall_one(cluster: SimulatedCluster) -> None:
    await _serve(cluster)
    before = cluster.selected_space()
    cluster.answers_audits = False
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verified_by()))
    await cluster.settle()
    cluster.facts.unreachable_pods |= dict.fromkeys(_uids(cluster), "no answer to POST /answers (ConnectTimeout)")
    await cluster.settle()
    assert cluster.selected_space() != before


async def test_while_suspended_audits_go_on_and_nothing_is_labelled_or_deleted(cluster: SimulatedCluster) -> None:
    await _serve(cluster, replicas=2)
    cluster.edit_spec(lambda spec: spec.update(suspend=True))
    await cluster.settle()
    cluster.facts.audits_requested.clear()
    cluster.ill[_uids(cluster)[0]] = {"paris"}
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert set(cluster.facts.audits_requested) == set(_uids(cluster))
    for _ in range(5):
        cluster.step()
        await cluster.reconcile()
    assert len(cluster.ready_pods()) == 1, "it has closed itself"
    assert [call for call in cluster.gateway.writes if call.kind != "EmbeddingModel"] == []


async def test_without_golden_cases_a_failed_check_is_said_in_verified_and_stalls(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.ill[_uids(cluster)[0]] = {"check.batch"}
    assert await cluster.settle() == Stalled("AuditFailed")
    assert cluster.says("Verified") == ("False", "AuditFailed")
    assert cluster.says("Ready") == ("False", "AuditFailed")
    assert 'built-in check "check.batch" failed' in cluster.condition("Verified")["message"]  # type: ignore[index]
    cluster.ill.clear()
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "NoGoldens")
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_pod_that_cannot_be_asked_stays_verified_by_its_own_checks_and_is_named(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    [pod] = cluster.pods()
    cluster.facts.unreachable_pods[pod["metadata"]["uid"]] = "no answer to POST /answers (ReadTimeout)"
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    message = str(cluster.condition("Verified"))
    assert f"the operator cannot ask pod {pod['metadata']['name']} (no answer to POST /answers" in message
    cluster.facts.unreachable_pods.clear()
    await cluster.settle()
    assert "cannot ask" not in str(cluster.condition("Verified"))
