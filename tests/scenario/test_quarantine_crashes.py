"""The operator dies, or the API server fails, anywhere in a quarantine: one pod is replaced, once."""

import pytest
from faulty_gateway import Crash, CrashAfter, Fault, FaultyGateway, LoseAnswer, server_error
from model_samples import COMMIT, golden, hub_spec, request_token, resolved, verified_by
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.kube.gateway import GatewayError
from embedding_operator.kube.memory import WRITES


async def _quarantine(faults: dict[int, Fault], *, forgets: bool) -> tuple[SimulatedCluster, FaultyGateway, list[str]]:
    """Two replicas, of which the first fails while it serves; the uids from before."""
    cluster = SimulatedCluster()
    cluster.facts.resolutions[request_token()] = resolved()
    cluster.facts.resolutions[request_token(commit=COMMIT)] = resolved()
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"))))
    await cluster.settle()
    uids = [pod["metadata"]["uid"] for pod in cluster.pods()]
    cluster.ill[uids[0]] = {"paris"}
    cluster.gateway.forget_calls()
    gateway = FaultyGateway(cluster.gateway, faults=faults)
    for _ in range(5):
        cluster.step()
        try:
            await cluster.reconcile(gateway=gateway)
        except (Crash, GatewayError):
            if forgets:
                cluster.facts.quarantines.clear()
    cluster.pass_time(60)
    return cluster, gateway, uids


def _deletions(cluster: SimulatedCluster) -> int:
    return len([call for call in cluster.gateway.calls if (call.verb, call.kind) == ("delete", "Pod")])


@pytest.mark.parametrize(
    ("fault", "forgets"),
    [(CrashAfter(), True), (LoseAnswer(), False), (server_error(), False)],
    ids=["another leader takes over", "the answer is lost", "the call fails"],
)
async def test_wherever_it_fails_the_bad_pod_goes_and_no_other(fault: Fault, forgets: bool) -> None:
    _, recorded, _ = await _quarantine({}, forgets=False)
    writes = [position.number for position in recorded.positions if position.verb in WRITES]
    for number in writes:
        cluster, _, (bad, *good) = await _quarantine({number: fault}, forgets=forgets)
        await cluster.settle()
        after = [pod["metadata"]["uid"] for pod in cluster.pods()]
        where = f"{fault} at {recorded.positions[number - 1]}"
        assert bad not in after, where
        assert set(good) < set(after), where
        assert len(cluster.ready_pods()) == 2, where
        assert cluster.says("Ready") == ("True", "Serving"), where
        assert _deletions(cluster) <= 2, f"{where}: again only where the answer was lost"


async def test_a_deletion_whose_answer_was_lost_is_not_made_up_for_on_the_pod_that_took_the_place() -> None:
    cluster, gateway, (bad, *_) = await _quarantine({}, forgets=False)
    [number] = [p.number for p in gateway.positions if (p.verb, p.kind) == ("delete", "Pod")]
    cluster, _, (bad, *_) = await _quarantine({number: LoseAnswer()}, forgets=True)
    names = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.pods()}
    assert len(names) == 2
    assert bad not in names.values()
    assert _deletions(cluster) == 1, "the new pod has the old one's name, and another uid"
    assert cluster.facts.quarantines.get(KEY) is None
