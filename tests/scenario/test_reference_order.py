"""When the Job of golden cases runs: in the slot that the new pods will use, and before them."""

from typing import Any

from model_samples import hub_spec, verified_by
from reference_samples import answer_references, reference_jobs, reference_pods, stored_cases
from simulated_cluster import SimulatedCluster

from embedding_model.ports import Progress
from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT, JOB, SERVICE


def asking_spec(**parts: Any) -> dict[str, Any]:
    return hub_spec(verification=verified_by(reference="Auto"), **parts)


async def serve_first(cluster: SimulatedCluster, spec: dict[str, Any]) -> str:
    cluster.create_model(spec)
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    return cluster.selected_space()


def serving_pods(cluster: SimulatedCluster) -> list[dict[str, Any]]:
    labels = names.LABEL_COMPONENT
    return [pod for pod in cluster.pods() if pod["metadata"]["labels"][labels] == names.COMPONENT_SERVER]


async def test_under_replace_it_runs_once_the_pods_before_have_gone(cluster: SimulatedCluster) -> None:
    await serve_first(cluster, asking_spec(rollout={"strategy": "Replace"}))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    for _ in range(10):
        await cluster.reconcile()
        assert not (serving_pods(cluster) and reference_jobs(cluster)), "two would need the one device at once"
        if reference_jobs(cluster):
            break
        cluster.step()
    await cluster.settle()
    assert serving_pods(cluster) == []
    assert cluster.says("Reconciling") == ("True", "Replacing")
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["verification"]["source"] == "Reference"


async def test_a_space_that_waits_for_approval_is_verified_by_a_set_of_its_own(cluster: SimulatedCluster) -> None:
    served = await serve_first(cluster, asking_spec())
    cluster.edit_spec(lambda spec: spec.update(space=served, embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "SpaceChangeNotApproved")
    [job] = reference_jobs(cluster)
    pending = job["metadata"]["labels"][names.LABEL_SPACE]
    assert pending != served
    answer_references(cluster)
    await cluster.settle()
    assert cluster.replicas() == {served: 1, pending: 1}
    assert cluster.find(SERVICE, names.pending_service_name("tiny", fingerprint=pending)) is not None
    assert {half["metadata"]["labels"][names.LABEL_SPACE] for half in stored_cases(cluster, "holdout")} == {
        served,
        pending,
    }
    cluster.edit_spec(lambda spec: spec.update(space=pending))
    await cluster.settle()
    assert cluster.selected_space() == pending
    assert reference_jobs(cluster) == []


async def test_a_running_job_stays_when_its_pod_would_be_rendered_otherwise(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    [job] = reference_jobs(cluster)
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    assert [item["metadata"]["uid"] for item in reference_jobs(cluster)] == [job["metadata"]["uid"]]
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    [other] = reference_jobs(cluster)
    assert other["metadata"]["uid"] != job["metadata"]["uid"], "another space is another question"


async def test_a_job_whose_pod_waits_is_corrected(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: {"phase": "Pending"}
    cluster.create_model(asking_spec(resources={"limits": {"memory": "900Gi"}}))
    await cluster.settle()
    [waits] = reference_jobs(cluster)
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    [corrected] = reference_jobs(cluster)
    assert corrected["metadata"]["name"] != waits["metadata"]["name"]


async def test_a_job_that_was_deleted_is_made_again(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    [job] = reference_jobs(cluster)
    cluster.gateway.remove(JOB, namespace="search", name=job["metadata"]["name"])
    assert reference_pods(cluster) == []
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_its_download_is_shown(cluster: SimulatedCluster) -> None:
    fetching = {"name": names.CONTAINER_FETCH, "state": {"running": {}}}
    cluster.trouble = lambda pod: {"phase": "Pending", "podIP": "10.0.0.1", "initContainerStatuses": [fetching]}
    cluster.create_model(asking_spec())
    await cluster.settle()
    [pod] = reference_pods(cluster)
    cluster.facts.fetches[pod["metadata"]["uid"]] = Progress(files=3, files_done=1, bytes=3000, bytes_done=1000)
    await cluster.settle()
    assert "fetched 1.0 of 3.0 kB, 1 of 3 files" in str(cluster.condition("Reconciling"))


async def test_while_suspended_nothing_is_computed(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec(suspend=True))
    await cluster.settle()
    assert reference_jobs(cluster) == []


async def test_with_no_replicas_everything_but_the_pods_is_there(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec(replicas=0))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "ScaledToZero")
    assert len(cluster.all(DEPLOYMENT)) == 1
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert reference_jobs(cluster) == []
