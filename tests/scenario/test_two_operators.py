"""Two operators at work for a moment: the one whose view is old takes nothing away that it has not seen."""

from disturbed_gateway import StaleGateway, remember
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import SimulatedCluster

from embedding_operator.kube.gateway import POD_DISRUPTION_BUDGET


async def test_an_old_view_deletes_nothing_that_was_made_since(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden())))
    await cluster.settle()
    [before] = cluster.all(POD_DISRUPTION_BUDGET)
    cluster.edit_spec(lambda spec: spec.update(replicas=1))
    past = remember(cluster.gateway)  # in which the budget has to go
    cluster.edit_spec(lambda spec: spec.update(replicas=2))
    cluster.take_away(POD_DISRUPTION_BUDGET, before["metadata"]["name"])
    await cluster.settle()
    [anew] = cluster.all(POD_DISRUPTION_BUDGET)
    assert anew["metadata"]["uid"] != before["metadata"]["uid"]
    await cluster.reconcile(gateway=StaleGateway(past=past, present=cluster.gateway))
    assert [item["metadata"]["uid"] for item in cluster.all(POD_DISRUPTION_BUDGET)] == [anew["metadata"]["uid"]]
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
