"""The operator dies between any two of its calls: the next one finishes, and the world is the same."""

import json
import re
from collections.abc import Awaitable, Callable

import pytest
from model_samples import golden, hub_spec, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_operator.kube.faults import (
    Crash,
    CrashAfter,
    CrashBefore,
    Fault,
    FaultyGateway,
    server_error,
    too_many_requests,
)
from embedding_operator.kube.gateway import GatewayError

Story = Callable[[SimulatedCluster, FaultyGateway], Awaitable[None]]


async def _be_born(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"))))
    await _live(cluster, gateway)


async def _move(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    await _be_born(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification={}, replicas=1))
    await _live(cluster, gateway)


async def _change_goldens(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    await _be_born(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("rome", first=2.0))))
    await _live(cluster, gateway)


STORIES: dict[str, Story] = {"be born": _be_born, "move": _move, "change goldens": _change_goldens}


async def _live(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    """Settle, starting over wherever the process died or the API server failed."""
    while True:
        try:
            await cluster.settle(gateway=gateway)
            return
        except (Crash, GatewayError):
            continue


def _new_cluster() -> SimulatedCluster:
    cluster = SimulatedCluster()
    cluster.facts.resolutions[request_token()] = resolved()
    return cluster


def _final_picture(cluster: SimulatedCluster) -> str:
    """The world without what depends on when things happened: times, versions, uids."""
    text = re.sub(r'"(resourceVersion|generation|observedGeneration|uid)": ("[^"]*"|\d+)', '""', cluster.picture())
    text = re.sub(r"uid-\d+", "uid", re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "time", text))
    return json.dumps(text)


async def _count_positions(story: Story) -> tuple[int, str]:
    cluster = _new_cluster()
    gateway = FaultyGateway(cluster.gateway)
    await story(cluster, gateway)
    return len(gateway.positions), _final_picture(cluster)


@pytest.mark.parametrize("name", STORIES)
async def test_wherever_the_operator_dies_the_final_world_is_that_of_the_undisturbed_run(name: str) -> None:
    count, expected = await _count_positions(STORIES[name])
    faults: list[Callable[[], Fault]] = [CrashBefore, CrashAfter, server_error, too_many_requests]
    for number in range(1, count + 1):
        for fault in faults:
            cluster = _new_cluster()
            gateway = FaultyGateway(cluster.gateway, faults={number: fault()})
            await STORIES[name](cluster, gateway)
            assert _final_picture(cluster) == expected, f"{fault} at call {number} of {count}"
