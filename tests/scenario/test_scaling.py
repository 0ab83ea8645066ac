"""replicas, suspend, and the scale subresource's fields."""

from model_samples import golden, hub_spec, verified_by
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT, POD_DISRUPTION_BUDGET


async def test_zero_replicas_are_ready_and_keep_everything_but_the_pods(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=0, verification=verified_by(golden())))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "ScaledToZero")
    assert cluster.says("Available") == ("False", "ScaledToZero")
    assert cluster.pods() == []
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_scaling_down_to_zero_keeps_what_was_verified(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "ScaledToZero")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert cluster.status()["readyReplicas"] == 0


async def test_scaling_replaces_no_pod_and_brings_a_budget(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    assert cluster.all(POD_DISRUPTION_BUDGET) == []
    cluster.edit_spec(lambda spec: spec.update(replicas=3))
    await cluster.settle()
    assert pods < cluster.ready_pods()
    (budget,) = cluster.all(POD_DISRUPTION_BUDGET)
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    await cluster.settle()
    assert cluster.all(POD_DISRUPTION_BUDGET) == []


async def test_the_selector_of_the_scale_subresource_finds_the_serving_pods(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    selector = dict(part.split("=") for part in cluster.status()["selector"].split(","))
    found = [pod for pod in cluster.pods() if selector.items() <= pod["metadata"]["labels"].items()]
    assert len(found) == cluster.status()["replicas"] == 2


async def test_a_suspended_model_writes_no_child_and_its_conditions_stay(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before, deployments = cluster.status()["conditions"], cluster.all(DEPLOYMENT)
    cluster.edit_spec(lambda spec: spec.update(suspend=True, replicas=5, embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.all(DEPLOYMENT) == deployments
    assert cluster.status()["observedGeneration"] == 2
    said = [(item["type"], item["status"], item["reason"], item["lastTransitionTime"]) for item in before]
    after = cluster.status()["conditions"]
    assert [(item["type"], item["status"], item["reason"], item["lastTransitionTime"]) for item in after] == said
    cluster.edit_spec(lambda spec: spec.update(suspend=False))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["readyReplicas"] == 5


async def test_a_model_that_is_born_suspended_creates_nothing(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(suspend=True))
    await cluster.settle()
    assert cluster.says("Ready") == ("False", "Suspended")
    assert cluster.all(DEPLOYMENT) == []


async def test_a_condition_keeps_its_transition_time_while_its_status_stays(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    first = cluster.condition("Resolved")
    assert first is not None
    cluster.pass_time(600)
    cluster.edit_spec(lambda spec: spec.update(replicas=2))
    await cluster.settle()
    second = cluster.condition("Resolved")
    assert second is not None
    assert second["observedGeneration"] == first["observedGeneration"] + 1
    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    assert names.space10(cluster.selected_space()) in cluster.all(DEPLOYMENT)[0]["metadata"]["name"]
