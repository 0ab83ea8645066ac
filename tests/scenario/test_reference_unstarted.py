"""When the Job's pod cannot start: it has half an hour, then the failurePolicy decides, and it answers once it can."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from reference_samples import answer_references, reference_jobs, reference_pods
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.judge.reference import START_SECONDS
from embedding_operator.kube.gateway import DEPLOYMENT, JOB
from embedding_operator.reconcile.outcome import Wait

Status = Mapping[str, Any]

NO_GPU = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
NO_IMAGE = "Back-off pulling image reference:1"


def asking_spec(*cases: dict[str, Any], policy: str = "Block", **parts: Any) -> dict[str, Any]:
    return hub_spec(verification=verified_by(*cases, reference="Auto", failurePolicy=policy), **parts)


def find_no_place(cluster: SimulatedCluster) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_GPU}
    _trouble_references(cluster, lambda: {"phase": "Pending", "conditions": [condition]})


def pull_no_image(cluster: SimulatedCluster) -> None:
    container = {"name": "reference", "image": "reference:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    container["state"]["waiting"]["message"] = NO_IMAGE  # type: ignore[index]
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": cluster.write_now()}]
    _trouble_references(
        cluster, lambda: {"phase": "Pending", "conditions": conditions, "containerStatuses": [container]}
    )


def say_nothing(cluster: SimulatedCluster) -> None:
    _trouble_references(cluster, lambda: {"phase": "Pending"})


def refuse_pods(cluster: SimulatedCluster) -> None:
    cluster.makes_job_pods = False


def let_go(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: None
    cluster.makes_job_pods = True


def _trouble_references(cluster: SimulatedCluster, status: Callable[[], Status]) -> None:
    component = names.COMPONENT_REFERENCE
    cluster.trouble = lambda pod: status() if pod["metadata"]["labels"][names.LABEL_COMPONENT] == component else None


CAUSES = [
    pytest.param(find_no_place, NO_GPU, id="no place on a node"),
    pytest.param(pull_no_image, NO_IMAGE, id="no image"),
    pytest.param(refuse_pods, "a quota or an admission policy may refuse it", id="no pod"),
    pytest.param(say_nothing, "has not started for half an hour", id="no word"),
]
Cause = Callable[[SimulatedCluster], None]


async def wait_in_vain(cluster: SimulatedCluster) -> None:
    await cluster.settle()
    cluster.pass_time(START_SECONDS / 2)
    await cluster.settle()
    assert cluster.says("Verified") != ("False", "ReferenceUnavailable"), "it has half of its time yet"
    cluster.pass_time(START_SECONDS / 2)
    await cluster.settle()


@pytest.mark.parametrize(("cause", "words"), CAUSES)
async def test_under_block_it_is_unavailable_in_the_causes_words_and_no_pod_is_made(
    cluster: SimulatedCluster, cause: Cause, words: str
) -> None:
    cause(cluster)
    cluster.create_model(asking_spec(golden("paris")))
    await wait_in_vain(cluster)
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert cluster.says("Stalled") == ("True", "ReferenceUnavailable")
    assert words in str(cluster.condition("Verified"))
    assert 'spec.verification.reference to "Off"' in str(cluster.condition("Verified"))
    assert cluster.all(DEPLOYMENT) == []


@pytest.mark.parametrize(("cause", "words"), CAUSES)
async def test_under_warn_pods_serve_and_are_called_unverified(
    cluster: SimulatedCluster, cause: Cause, words: str
) -> None:
    cause(cluster)
    cluster.create_model(asking_spec(golden("paris"), policy="Warn"))
    await wait_in_vain(cluster)
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert words in str(cluster.condition("Verified"))
    [uid] = cluster.facts.audits_requested
    assert cluster.facts.audits_requested[uid].objection


@pytest.mark.parametrize("policy", ["Block", "Warn"])
@pytest.mark.parametrize(("cause", "words"), CAUSES)
async def test_the_same_job_answers_once_it_can(
    cluster: SimulatedCluster, cause: Cause, words: str, policy: str
) -> None:
    cause(cluster)
    cluster.create_model(asking_spec(golden("paris"), policy=policy))
    await wait_in_vain(cluster)
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert words in str(cluster.condition("Verified"))
    [job] = reference_jobs(cluster)
    let_go(cluster)
    await cluster.settle()
    assert [item["metadata"]["uid"] for item in reference_jobs(cluster)] == [job["metadata"]["uid"]]
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.status()["verification"]["source"] == "Both"


async def test_each_step_on_the_way_to_its_start_gives_it_the_time_anew(cluster: SimulatedCluster) -> None:
    find_no_place(cluster)
    cluster.create_model(asking_spec())
    await cluster.settle()
    cluster.pass_time(START_SECONDS * 0.8)
    pull_no_image(cluster)
    await cluster.settle()
    cluster.pass_time(START_SECONDS * 0.8)
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "ImageUnavailable")
    cluster.pass_time(START_SECONDS * 0.2)
    await cluster.settle()
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")


async def test_a_pod_that_works_has_the_time_that_the_kubelet_gives_it(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    cluster.pass_time(START_SECONDS * 2)
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "ComputingReference")


async def test_nothing_has_to_happen_for_its_time_to_be_over(cluster: SimulatedCluster) -> None:
    find_no_place(cluster)
    cluster.create_model(asking_spec())
    outcome = await cluster.settle()
    assert isinstance(outcome, Wait)
    assert 0 < outcome.after_seconds <= START_SECONDS


@pytest.mark.parametrize("policy", ["Block", "Warn"])
async def test_a_place_that_the_models_own_pods_have_is_said_with_the_way_to_free_it(
    cluster: SimulatedCluster, policy: str
) -> None:
    verification = verified_by(golden("paris"), reference="Off", failurePolicy=policy)
    cluster.create_model(hub_spec(verification=verification, rollout={"strategy": "Replace"}))
    await cluster.settle()
    serving = cluster.ready_pods()
    find_no_place(cluster)
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    await wait_in_vain(cluster)
    assert cluster.says("Verified") == ("False", "ReferenceUnavailable")
    assert "with spec.replicas 0 until it is computed it has their place" in str(cluster.condition("Verified"))
    assert cluster.ready_pods() == serving
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    assert [pod["metadata"]["name"] for pod in cluster.pods()] == [
        pod["metadata"]["name"] for pod in reference_pods(cluster)
    ]
    let_go(cluster)
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.all(JOB) == []
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.status()["verification"]["source"] == "Both"
