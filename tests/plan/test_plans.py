"""Plans over many worlds: whatever the order of events, what serves is protected and the end is the same."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from model_samples import golden, hub_spec, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT

# One edit of the user, or time in which the cluster works.
_DIMENSIONS = st.sampled_from([8, 4, 2])
_REPLICAS = st.integers(0, 3)
_GOLDENS = st.sampled_from(["", "right", "wrong"])
_EDIT = st.tuples(_DIMENSIONS, _REPLICAS, _GOLDENS, st.integers(0, 4))


async def _live(edits: Sequence[tuple[int, int, str, int]]) -> SimulatedCluster:
    cluster = SimulatedCluster(wrong={"wrong"})
    cluster.facts.resolutions[request_token()] = resolved()
    cluster.create_model(hub_spec())
    await cluster.settle()
    for dimensions, replicas, case, steps in edits:
        verification = verified_by(golden(case, first=dimensions, dimensions=dimensions)) if case else {}
        parts = hub_spec(embedding={"dimensions": dimensions}, replicas=replicas, verification=verification)
        cluster.edit_spec(lambda spec, parts=parts: spec.update(parts))
        for _ in range(steps):
            await _reconcile_safely(cluster)
            cluster.step()
    return cluster


async def _reconcile_safely(cluster: SimulatedCluster) -> None:
    """Reconcile, and check what must hold after every single one."""
    ready, asked = cluster.ready_pods(), cluster.model()["spec"]["replicas"]
    slices = {pod["metadata"]["name"] for pod in cluster.pods() if _selected(cluster, pod)} & ready
    await cluster.reconcile()
    if asked and slices:
        kept = sum(cluster.replicas()[space] for space in {_space(cluster, name) for name in slices})
        assert kept > 0, "the generation that serves was scaled to nothing while it is listed"
    for item in cluster.all(CONFIG_MAP):
        assert len(item["metadata"]["name"]) <= 253


def _selected(cluster: SimulatedCluster, pod: dict) -> bool:  # type: ignore[type-arg]
    return bool(pod["metadata"]["labels"].get(names.LABEL_SPACE) == cluster.selected_space())


def _space(cluster: SimulatedCluster, name: str) -> str:
    return next(
        str(pod["metadata"]["labels"][names.LABEL_SPACE]) for pod in cluster.pods() if pod["metadata"]["name"] == name
    )


@settings(max_examples=40)
@given(st.lists(_EDIT, max_size=4))
def test_whatever_the_user_edits_and_when_a_good_spec_ends_well(edits: list[tuple[int, int, str, int]]) -> None:
    async def run() -> None:
        cluster = await _live(edits)
        last = hub_spec(embedding={"dimensions": 8}, replicas=2, verification=verified_by(golden("final")))
        cluster.edit_spec(lambda spec: spec.update(last))
        await cluster.settle()
        assert cluster.says("Ready") == ("True", "Serving")
        running = [count for count in cluster.replicas().values() if count]
        assert running == [2]
        assert len(cluster.all(DEPLOYMENT)) <= 3, "the one that serves, and two retired ones"
        mounted = {
            volume["configMap"]["name"]
            for item in cluster.all(DEPLOYMENT)
            for volume in item["spec"]["template"]["spec"]["volumes"]
            if volume.get("configMap") and not volume["configMap"].get("optional")
        }
        kept = {item["metadata"]["name"] for item in cluster.all(CONFIG_MAP)}
        assert mounted <= kept

    asyncio.run(run())
