"""A pod that fails while it serves: out of the Service, then replaced, but never all of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import GateState
from embedding_operator.api import names
from embedding_operator.kube.gateway import ENDPOINT_SLICE, EVENT, POD, Forbidden
from embedding_operator.observe.facts import QuarantineRecord
from embedding_operator.reconcile.outcome import Stalled, Wait


@pytest.fixture
async def serving(cluster: SimulatedCluster) -> SimulatedCluster:
    cluster.create_model(hub_spec(replicas=3, verification=verified_by(golden("paris"), golden("rome", first=2.0))))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    cluster.gateway.forget_calls()
    return cluster


def uids(cluster: SimulatedCluster) -> list[str]:
    return [pod["metadata"]["uid"] for pod in cluster.pods()]


def quarantined(cluster: SimulatedCluster) -> list[str]:
    return [
        pod["metadata"]["uid"]
        for pod in cluster.pods()
        if pod["metadata"]["labels"][names.LABEL_TRAFFIC] == names.TRAFFIC_QUARANTINED
    ]


def deleted(cluster: SimulatedCluster) -> int:
    return len([call for call in cluster.gateway.calls if (call.verb, call.kind) == ("delete", "Pod")])


async def run(cluster: SimulatedCluster, *, steps: int = 8) -> None:
    for _ in range(steps):
        cluster.step()
        await cluster.reconcile()


async def test_a_pod_that_fails_its_audit_is_labelled_then_deleted_and_another_takes_its_place(
    serving: SimulatedCluster,
) -> None:
    bad, *good = uids(serving)
    serving.ill[bad] = {"rome"}
    serving.step()
    await serving.reconcile()
    assert quarantined(serving) == [bad]
    assert deleted(serving) == 0, "the Service may still list it"
    assert serving.says("Verified") == ("False", "AuditFailed")
    assert serving.says("Stalled") is None, "it heals without anybody's help"
    await run(serving)
    await serving.settle()
    assert bad not in uids(serving)
    assert set(good) < set(uids(serving))
    assert len(serving.ready_pods()) == 3
    assert serving.says("Ready") == ("True", "Serving")
    assert serving.says("Verified") == ("True", "GoldensPassed")


async def test_the_event_names_the_pod_the_case_the_value_and_the_threshold(serving: SimulatedCluster) -> None:
    bad = serving.pods()[0]["metadata"]
    serving.ill[bad["uid"]] = {"rome"}
    await run(serving, steps=3)
    events = [event for event in serving.all(EVENT) if event["reason"] == "Quarantined"]
    assert len(events) == 1
    assert [events[0][field] for field in ("type", "reason", "action")] == ["Warning", "Quarantined", "Quarantine"]
    assert all(word in events[0]["note"] for word in (bad["name"], '"rome"', "0.913000", "threshold 0.999"))


async def test_a_pod_that_an_endpoint_slice_still_lists_as_ready_is_not_deleted(serving: SimulatedCluster) -> None:
    bad = serving.pods()[0]["metadata"]
    serving.ill[bad["uid"]] = {"rome"}
    lagging = serving.all(ENDPOINT_SLICE)[0]["endpoints"]

    def lag() -> None:
        serving.gateway.edit(
            ENDPOINT_SLICE,
            lambda item: item.update(endpoints=lagging),
            namespace=KEY.namespace,
            name=f"{KEY.name}-slice",
        )

    for _ in range(5):
        serving.step()
        lag()
        await serving.reconcile()
    assert quarantined(serving) == [bad["uid"]]
    assert deleted(serving) == 0
    await run(serving)
    assert deleted(serving) == 1


async def test_when_all_replicas_fail_the_same_case_none_is_touched_and_the_model_is_stalled(
    serving: SimulatedCluster,
) -> None:
    serving.ill |= {uid: {"rome"} for uid in uids(serving)}
    before = uids(serving)
    assert await serving.settle() == Stalled("AuditFailed")
    assert (uids(serving), quarantined(serving)) == (before, [])
    assert serving.says("Stalled") == ("True", "AuditFailed")
    assert '"rome"' in serving.condition("Stalled")["message"]  # type: ignore[index]
    assert serving.ready_pods() == set(), "they have closed themselves"


async def test_when_the_others_fail_the_same_case_too_a_pod_that_was_taken_out_first_is_not_deleted(
    serving: SimulatedCluster,
) -> None:
    first, *others = uids(serving)
    serving.lists_endpoints = False
    serving.ill[first] = {"rome"}
    await run(serving, steps=2)
    assert quarantined(serving) == [first]
    serving.ill |= {uid: {"rome"} for uid in others}
    serving.step()
    serving.lists_endpoints = True
    await serving.settle()
    assert (quarantined(serving), deleted(serving)) == ([first], 0)
    assert serving.says("Stalled") == ("True", "AuditFailed")


async def test_the_only_replica_is_not_deleted(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()
    [uid] = uids(cluster)
    cluster.ill[uid] = {"paris"}
    assert await cluster.settle() == Stalled("AuditFailed")
    assert uids(cluster) == [uid]


async def test_of_several_bad_pods_one_a_minute_is_deleted_and_ever_more_rarely(serving: SimulatedCluster) -> None:
    first, second, _ = uids(serving)
    serving.ill |= {first: {"rome"}, second: {"rome"}}
    await run(serving, steps=10)
    assert deleted(serving) == 1
    outcome = await serving.reconcile()
    assert isinstance(outcome, Wait)
    assert 0 < outcome.after_seconds <= 60
    left = serving.facts.quarantines[KEY].at + timedelta(seconds=60) - serving.now
    serving.now += left - timedelta(seconds=2)
    await serving.reconcile()
    assert deleted(serving) == 1
    serving.pass_time(2)
    await serving.reconcile()
    assert deleted(serving) == 2
    assert serving.facts.quarantines[KEY].count == 2


@pytest.mark.parametrize(("count", "seconds"), [(1, 60), (2, 120), (4, 480), (7, 3600), (50, 3600)])
async def test_the_pause_doubles_up_to_an_hour_while_failures_go_on(
    serving: SimulatedCluster, count: int, seconds: int
) -> None:
    bad = uids(serving)[0]
    serving.ill[bad] = {"rome"}
    serving.facts.quarantines[KEY] = QuarantineRecord(at=serving.now + timedelta(hours=1), count=count)
    await run(serving, steps=4)
    assert (quarantined(serving), deleted(serving)) == ([bad], 0)
    serving.now = serving.facts.quarantines[KEY].at + timedelta(seconds=seconds - 1)
    await serving.reconcile()
    assert deleted(serving) == 0
    serving.pass_time(1)
    await serving.reconcile()
    assert deleted(serving) == 1


async def test_a_pod_that_fails_its_own_check_after_it_has_served_is_replaced_too(serving: SimulatedCluster) -> None:
    bad = uids(serving)[0]
    answer = serving.report_goldens

    def fail_own(pod, *, case_set):  # type: ignore[no-untyped-def]
        report = answer(pod, case_set=case_set)
        if pod["metadata"]["uid"] != bad:
            return report
        [first, *rest] = report.results
        failed = first.model_copy(update={"passed": False, "measured": "0.1"})
        return report.model_copy(update={"state": GateState.FAILED, "results": (failed, *rest)})

    serving.report_goldens = fail_own  # type: ignore[method-assign]
    await run(serving, steps=10)
    await serving.settle()
    assert bad not in uids(serving)
    assert serving.says("Ready") == ("True", "Serving")


async def test_a_pod_that_served_and_answers_wrongly_since_its_server_started_anew_is_replaced(
    serving: SimulatedCluster,
) -> None:
    bad = serving.pods()[0]["metadata"]
    serving.ill[bad["uid"]] = {"rome"}

    def crash(pod: dict[str, Any]) -> None:
        [ready], [runtime] = pod["status"]["conditions"], pod["status"]["containerStatuses"]
        ready.update(status="False", lastTransitionTime=serving.write_now())
        serving.pass_time(5)
        runtime.update(restartCount=1, state={"running": {"startedAt": serving.write_now()}})

    serving.gateway.edit(POD, crash, namespace=KEY.namespace, name=bad["name"])
    await run(serving)
    await serving.settle()
    assert bad["uid"] not in uids(serving)
    assert serving.says("Ready") == ("True", "Serving")


async def test_a_pod_more_that_fails_what_the_others_of_its_template_pass_is_replaced_before_it_ever_serves(
    serving: SimulatedCluster,
) -> None:
    good = uids(serving)
    serving.edit_spec(lambda spec: spec.update(replicas=4))
    await serving.reconcile()
    serving.step()
    [bad] = set(uids(serving)) - set(good)
    serving.ill[bad] = {"rome"}
    await run(serving)
    await serving.settle()
    assert bad not in uids(serving)
    assert set(good) < set(uids(serving))
    assert serving.says("Ready") == ("True", "Serving")


async def test_under_warn_nothing_is_taken_out(cluster: SimulatedCluster) -> None:
    verification = {**verified_by(golden("paris")), "failurePolicy": "Warn"}
    cluster.create_model(hub_spec(replicas=2, verification=verification))
    await cluster.settle()
    bad = uids(cluster)[0]
    cluster.ill[bad] = {"paris"}
    await run(cluster)
    assert (quarantined(cluster), deleted(cluster)) == ([], 0)
    assert bad in uids(cluster)


async def test_a_missing_permission_stops_nothing_else(serving: SimulatedCluster) -> None:
    bad = uids(serving)[0]
    serving.ill[bad] = {"rome"}
    await run(serving, steps=1)

    async def refuse(*_: object, **__: object) -> None:
        raise Forbidden("pods is forbidden", status=403)

    serving.gateway.delete = refuse  # type: ignore[method-assign, assignment]
    await run(serving, steps=4)
    assert bad in uids(serving)
    assert serving.says("Verified") == ("False", "AuditFailed")


async def test_nothing_is_written_while_a_deletion_waits_for_its_time(serving: SimulatedCluster) -> None:
    first, second, _ = uids(serving)
    serving.ill |= {first: {"rome"}, second: {"rome"}}
    await run(serving, steps=10)
    serving.gateway.forget_calls()
    await serving.reconcile()
    assert serving.gateway.writes == ()


async def test_a_pod_that_answers_rightly_again_and_waits_for_its_deletion_is_not_counted(
    serving: SimulatedCluster,
) -> None:
    serving.facts.quarantines[KEY] = QuarantineRecord(at=serving.now, count=7)
    bad = uids(serving)[0]
    serving.ill[bad] = {"rome"}
    await run(serving)
    assert quarantined(serving) == [bad]
    del serving.ill[bad]
    await run(serving)
    assert bad in {pod["metadata"]["uid"] for pod in serving.pods() if pod["metadata"]["name"] in serving.ready_pods()}
    assert quarantined(serving) == [bad], "no request reaches it"
    assert serving.says("Ready") == ("False", "RollingOut")
    assert serving.status()["readyReplicas"] == 2
    assert serving.condition("Available")["message"] == "2 pods are ready"


async def test_a_replica_that_disagrees_with_the_others_is_replaced_also_without_golden_cases(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    bad, good = uids(cluster)
    cluster.ill[bad] = {"check.replicas"}
    await run(cluster)
    await cluster.settle()
    assert bad not in uids(cluster)
    assert good in uids(cluster)
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_pod_that_differs_from_one_that_no_third_agrees_with_is_not_deleted(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    differing, other = uids(cluster)
    cluster.ill[differing] = {"check.replicas"}
    answer_audits = cluster.answer_audits

    def leave_the_other_without_a_comparison() -> None:
        answer_audits()
        cluster.facts.audits[other] = replace(cluster.facts.audits[other], results=())

    cluster.answer_audits = leave_the_other_without_a_comparison  # type: ignore[method-assign]
    assert await cluster.settle() == Stalled("AuditFailed")
    assert (uids(cluster), quarantined(cluster)) == ([differing, other], [])
    assert len(cluster.ready_pods()) == 1
