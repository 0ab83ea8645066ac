"""When the reference cannot be computed: what is said, what serves, and when it is tried again."""

from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from reference_samples import (
    answer_references,
    end_references,
    reference_jobs,
    reference_pods,
    refuse_references,
    stored_cases,
)
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.judge.reference import UNAVAILABLE_SECONDS
from embedding_operator.kube.gateway import DEPLOYMENT


def asking_spec(*cases: dict[str, Any], policy: str = "Block", **parts: Any) -> dict[str, Any]:
    verification = verified_by(*cases, reference="Auto", failurePolicy=policy)
    return hub_spec(verification=verification, **parts)


async def refused(cluster: SimulatedCluster, spec: dict[str, Any]) -> None:
    cluster.create_model(spec)
    await cluster.settle()
    refuse_references(cluster)
    await cluster.settle()


async def test_under_block_nothing_new_is_deployed(cluster: SimulatedCluster) -> None:
    await refused(cluster, asking_spec(golden("paris")))
    assert cluster.says("Ready") == ("False", "ReferenceUnavailable")
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert cluster.all(DEPLOYMENT) == []
    message = str(cluster.condition("Stalled"))
    assert "UnsupportedArchitecture: no class of transformers loads it" in message
    assert 'spec.verification.reference to "Off"' in message


async def test_under_block_what_serves_goes_on(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    serving = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    refuse_references(cluster)
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.replicas() == {serving: 1}
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert reference_jobs(cluster) == []


async def test_under_warn_it_serves_with_the_users_cases_alone_and_says_so(cluster: SimulatedCluster) -> None:
    await refused(cluster, asking_spec(golden("paris"), policy="Warn"))
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert cluster.status()["verification"]["source"] == "User"
    assert stored_cases(cluster, names.COMPONENT_HOLDOUT) == []


async def test_under_warn_a_failing_case_of_the_users_own_is_what_is_told(cluster: SimulatedCluster) -> None:
    cluster.wrong = {"paris"}
    await refused(cluster, asking_spec(golden("paris"), policy="Warn"))
    assert cluster.says("Verified") == ("False", "GoldenMismatch")


async def test_off_goes_on_without_and_takes_the_job_away(cluster: SimulatedCluster) -> None:
    await refused(cluster, asking_spec(golden("paris")))
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Off"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert reference_jobs(cluster) == []


async def test_it_is_tried_again_after_a_long_pause(cluster: SimulatedCluster) -> None:
    await refused(cluster, asking_spec())
    [first] = reference_jobs(cluster)
    cluster.pass_time(UNAVAILABLE_SECONDS / 2)
    await cluster.settle()
    assert [job["metadata"]["uid"] for job in reference_jobs(cluster)] == [first["metadata"]["uid"]]
    cluster.pass_time(UNAVAILABLE_SECONDS / 2)
    await cluster.settle()
    [second] = reference_jobs(cluster)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("trouble", [False, True], ids=["it computes", "its pod finds no place"])
async def test_under_warn_what_serves_stays_ready_and_unverified_while_it_is_tried_again(
    cluster: SimulatedCluster, trouble: bool
) -> None:
    await refused(cluster, asking_spec(golden("paris"), policy="Warn"))
    said = {kind: cluster.condition(kind) for kind in ("Ready", "Verified")}
    assert cluster.says("Ready") == ("True", "Serving")
    [first] = reference_jobs(cluster)
    if trouble:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
        component = names.COMPONENT_REFERENCE
        cluster.trouble = lambda pod: (
            {"phase": "Pending", "conditions": [condition]}
            if pod["metadata"]["labels"][names.LABEL_COMPONENT] == component
            else None
        )
    cluster.pass_time(UNAVAILABLE_SECONDS)
    await cluster.settle()
    [second] = reference_jobs(cluster)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert {kind: cluster.condition(kind) for kind in said} == said
    assert all(order.objection for order in cluster.facts.audits_requested.values())
    cluster.trouble = lambda pod: None
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.status()["verification"]["source"] == "Both"


async def test_under_warn_a_restarted_operator_says_the_same_until_it_has_asked_the_job(
    cluster: SimulatedCluster,
) -> None:
    await refused(cluster, asking_spec(policy="Warn"))
    said = cluster.status()
    cluster.facts.job_reports.clear()
    await cluster.reconcile()
    assert cluster.status() == said


@pytest.mark.parametrize("change", ["what its pod is made of", "requestedAt"])
async def test_a_change_asks_at_once(cluster: SimulatedCluster, change: str) -> None:
    await refused(cluster, asking_spec())
    [first] = reference_jobs(cluster)
    if change == "requestedAt":
        cluster.facts.resolutions = {
            question + "@now": found for question, found in cluster.facts.resolutions.items()
        } | cluster.facts.resolutions
        cluster.request_anew("now")
    else:
        cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    [second] = reference_jobs(cluster)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert cluster.says("Reconciling") == ("True", "ComputingReference")
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_job_that_failed_every_attempt_tells_the_last_words_of_its_pod(cluster: SimulatedCluster) -> None:
    killed = {"exitCode": 137, "reason": "OOMKilled"}
    container = {"name": "reference", "state": {"terminated": killed}, "image": "reference:1"}
    cluster.trouble = lambda pod: {"phase": "Failed", "containerStatuses": [container]}
    cluster.create_model(asking_spec())
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "OutOfMemory"), "the Job tries again by itself"
    end_references(cluster, kind="Failed", message="Job has reached the specified backoff limit")
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert "memory" in str(cluster.condition("Stalled"))


async def test_a_refusal_that_the_pod_ended_with_is_told(cluster: SimulatedCluster) -> None:
    words = "The model needs code of its repository. Set verification.reference to Off."
    refusal = f'{{"reason":"RemoteCodeRequired","message":"{words}","field":"verification.reference"}}'
    ended = {"exitCode": 3, "reason": "Error", "message": refusal}
    container = {"name": "reference", "state": {"terminated": ended}, "image": "reference:1"}
    cluster.trouble = lambda pod: {"phase": "Failed", "containerStatuses": [container]}
    cluster.create_model(asking_spec())
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    message = str(cluster.condition("Stalled"))
    assert "RemoteCodeRequired: The model needs code of its repository" in message
    assert message.count("verification.reference") == 1, "one advice is enough"


async def test_a_job_that_a_drain_ended_is_made_again_soon(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    [first] = reference_jobs(cluster)
    end_references(cluster, kind="Complete")
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "ComputingReference")
    cluster.pass_time(60)
    await cluster.settle()
    [second] = reference_jobs(cluster)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"space": "sp1-" + "0" * 32}, "for the space sp1-0000"),
        ({"prefix": "mine."}, "golden cases under names that are"),
        ({"repeats": 2}, "two have the same name"),
        ({"dimensions": 60_000}, "fit into a ConfigMap"),
        ({"cases": 0}, "one half is empty"),
        (None, "the answer to GET /result is no JobReport"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_refused_at_once_and_its_pod_let_go(
    cluster: SimulatedCluster, parts: dict[str, Any] | None, words: str
) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    _answer_uselessly(cluster, parts)
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert words in str(cluster.condition("Stalled"))
    assert 'spec.verification.reference to "Off"' in str(cluster.condition("Stalled"))
    assert stored_cases(cluster, names.COMPONENT_GOLDENS) == []
    assert (reference_jobs(cluster), cluster.pods()) == ([], [])


def _answer_uselessly(cluster: SimulatedCluster, parts: dict[str, Any] | None) -> None:
    if parts is not None:
        answer_references(cluster, **parts)
        return
    for pod in reference_pods(cluster):
        cluster.facts.job_defects[pod["metadata"]["uid"]] = "the answer to GET /result is no JobReport"


async def ask_in_vain(cluster: SimulatedCluster) -> None:
    """A new model whose reference Job answers no case, and so is refused."""
    cluster.create_model(asking_spec())
    await cluster.settle()
    answer_references(cluster, cases=0)
    await cluster.settle()


async def test_a_job_that_was_refused_for_its_answer_is_made_again_after_a_long_pause(
    cluster: SimulatedCluster,
) -> None:
    await ask_in_vain(cluster)
    cluster.pass_time(UNAVAILABLE_SECONDS / 2)
    await cluster.settle()
    assert reference_jobs(cluster) == []
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    cluster.pass_time(UNAVAILABLE_SECONDS / 2)
    await cluster.settle()
    assert len(reference_jobs(cluster)) == 1
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_job_that_was_refused_for_its_answer_is_made_at_once_of_something_else(
    cluster: SimulatedCluster,
) -> None:
    await ask_in_vain(cluster)
    cluster.edit_spec(lambda spec: spec.update(replicas=2))
    await cluster.settle()
    assert reference_jobs(cluster) == [], "it would answer the same"
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    assert len(reference_jobs(cluster)) == 1


async def test_under_warn_it_serves_after_an_answer_that_cannot_be_used(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec(golden("paris"), policy="Warn"))
    await cluster.settle()
    answer_references(cluster, cases=0)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert reference_jobs(cluster) == []


async def test_another_leader_asks_once_more_for_what_was_refused(cluster: SimulatedCluster) -> None:
    await ask_in_vain(cluster)
    cluster.facts.refused.clear()
    await cluster.settle()
    assert len(reference_jobs(cluster)) == 1
    assert cluster.says("Reconciling") == ("True", "ComputingReference")


async def test_a_missing_profile_is_told_before_anything_is_computed(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec(runtime={"profile": "tpu"}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "ProfileNotFound")
    assert reference_jobs(cluster) == []
