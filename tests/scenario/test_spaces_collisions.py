"""Two spaces whose fingerprints begin with the same ten digits would share names: refused, and never touched."""

from typing import Any

from model_samples import hub_spec
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import DEPLOYMENT
from embedding_operator.reconcile.outcome import Done, Stalled


async def _collide(cluster: SimulatedCluster) -> tuple[str, dict[str, Any]]:
    """A model whose next space has the name of a kept Deployment of yet another space; that space and Deployment."""
    cluster.create_model(hub_spec())
    await cluster.settle()
    first = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    name = names.deployment_name(KEY.name, fingerprint=first)
    other = f"sp1-{names.space10(first)}{'0' * 22}"

    live = cluster.find(DEPLOYMENT, name)
    assert live is not None
    cluster.gateway.remove(DEPLOYMENT, namespace=KEY.namespace, name=name)
    for labels in (
        live["metadata"]["labels"],
        live["spec"]["selector"]["matchLabels"],
        live["spec"]["template"]["metadata"]["labels"],
    ):
        labels[names.LABEL_SPACE] = other
    kept = cluster.gateway.put(live)
    return other, kept


async def test_a_space_whose_name_is_taken_by_another_one_is_refused_by_name(cluster: SimulatedCluster) -> None:
    other, kept = await _collide(cluster)
    serving, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    assert await cluster.settle() == Stalled("Conflict")
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert other in message
    assert kept["metadata"]["name"] in message
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.selected_space() == serving
    assert cluster.ready_pods() == pods
    assert cluster.find(DEPLOYMENT, kept["metadata"]["name"])["spec"]["template"] == kept["spec"]["template"]  # type: ignore[index]


async def test_deleting_what_has_the_name_heals_it(cluster: SimulatedCluster) -> None:
    _, kept = await _collide(cluster)
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    cluster.gateway.remove(DEPLOYMENT, namespace=KEY.namespace, name=kept["metadata"]["name"])
    assert await cluster.settle() == Done()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_space_that_waits_for_approval_and_whose_name_is_taken_says_so(cluster: SimulatedCluster) -> None:
    other, _ = await _collide(cluster)
    serving = cluster.selected_space()

    def change(spec: dict[str, Any]) -> None:
        spec.pop("embedding")
        spec["space"] = serving

    cluster.edit_spec(change)
    assert await cluster.settle() == Stalled("SpaceChangeNotApproved")
    assert other in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.says("Verified") == ("Unknown", "Conflict")
