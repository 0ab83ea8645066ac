"""Children of a former model of the same name that are being deleted, while the new one is made."""

from disturbed_gateway import StaleGateway, remember
from model_samples import golden, hub_spec, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, EMBEDDING_MODEL


async def test_no_pod_is_made_before_the_config_maps_that_it_mounts(cluster: SimulatedCluster) -> None:
    """Those of the former model are still seen when they have gone."""
    spec = hub_spec(replicas=2, verification=verified_by(golden()))
    cluster.create_model(spec)
    await cluster.settle()
    past = remember(cluster.gateway)
    cluster.gateway.remove(EMBEDDING_MODEL, namespace=KEY.namespace, name=KEY.name)
    cluster.create_model(spec)
    await cluster.reconcile(gateway=StaleGateway(past=past, present=cluster.gateway, kinds={CONFIG_MAP}))
    assert cluster.all(DEPLOYMENT) == []
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
