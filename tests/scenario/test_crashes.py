"""The operator dies between any two of its calls: the next one finishes, and the world is the same."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest
from faulty_gateway import (
    Crash,
    CrashAfter,
    Fault,
    FaultyGateway,
    LoseAnswer,
    Position,
    server_error,
    timeout,
    too_many_requests,
)
from model_samples import COMMIT, OTHER_COMMIT, REPO, golden, hub_spec, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.resolved import Declared, Origin, SourceKind, Task
from embedding_operator.kube.gateway import GatewayError
from embedding_operator.kube.memory import WRITES
from embedding_operator.observe.facts import Head

Story = Callable[[SimulatedCluster, FaultyGateway], Awaitable[None]]


async def _be_born(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    cluster.create_model(hub_spec(replicas=2, verification=verified_by(golden("paris"))))
    await _live(cluster, gateway)


async def _move(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    await _be_born(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verified_by(), replicas=1))
    await _live(cluster, gateway)


async def _change_goldens(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    await _be_born(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(verification=verified_by(golden("rome", first=2.0))))
    await _live(cluster, gateway)


async def _follow(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    """A tracked branch moves within its space, and back, which an old ConfigMap must not confuse."""
    source = {"huggingFace": {"repo": REPO, "revision": "main", "updatePolicy": "Track"}}
    cluster.create_model(hub_spec(model=source))
    await _live(cluster, gateway)
    asked = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main").request_key()
    for hour, commit in ((13, OTHER_COMMIT), (14, COMMIT)):
        seen = datetime(2026, 3, 1, hour, tzinfo=UTC)
        cluster.facts.heads[asked] = Head(commit=commit, seen_at=seen)
        cluster.facts.resolutions[request_token(commit=commit)] = resolved(revision=commit)
        await _live(cluster, gateway)
        assert cluster.status()["model"]["revision"] == commit


async def _declare(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    await _be_born(cluster, gateway)
    declared = Declared(task=Task.EMBEDDING)
    cluster.facts.resolutions[request_token(declared=declared, commit=COMMIT)] = resolved()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await _live(cluster, gateway)


async def _approve(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    """Another space comes up behind a Service of its own, and is approved."""
    cluster.create_model(hub_spec())
    await _live(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, space=cluster.selected_space()))
    await _live(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(space=cluster.status()["space"]["pending"]))
    await _live(cluster, gateway)


async def _replace(cluster: SimulatedCluster, gateway: FaultyGateway) -> None:
    """To another space through a gap."""
    cluster.create_model(hub_spec(rollout={"strategy": "Replace"}))
    await _live(cluster, gateway)
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await _live(cluster, gateway)


STORIES: dict[str, Story] = {
    "be born": _be_born,
    "move": _move,
    "change goldens": _change_goldens,
    "follow": _follow,
    "declare": _declare,
    "approve": _approve,
    "replace": _replace,
}


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
    cluster.facts.resolutions[request_token(commit=COMMIT)] = resolved()
    return cluster


def _final_picture(cluster: SimulatedCluster) -> str:
    """The world without what depends on when things happened: times, versions, uids."""
    text = re.sub(r'"(resourceVersion|generation|observedGeneration|uid)": ("[^"]*"|\d+)', '""', cluster.picture())
    text = re.sub(r"uid-\d+", "uid", re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "time", text))
    return json.dumps(text)


async def _record(story: Story) -> tuple[Sequence[Position], str]:
    cluster = _new_cluster()
    gateway = FaultyGateway(cluster.gateway)
    await story(cluster, gateway)
    return gateway.positions, _final_picture(cluster)


async def _disturb(story: Story, *, number: int, fault: Fault) -> str:
    cluster = _new_cluster()
    await story(cluster, FaultyGateway(cluster.gateway, faults={number: fault}))
    return _final_picture(cluster)


def _find_distinct(positions: Sequence[Position]) -> Sequence[Position]:
    """Reads leave no trace: killed after any of them, the world is that after the write before."""
    return [position for position in positions if position.number == 1 or position.verb in WRITES]


@pytest.mark.parametrize("name", STORIES)
async def test_killed_between_any_two_calls_the_operator_ends_where_it_would_have(name: str) -> None:
    positions, expected = await _record(STORIES[name])
    for position in _find_distinct(positions):
        found = await _disturb(STORIES[name], number=position.number, fault=CrashAfter())
        assert found == expected, f"killed after {position} of {len(positions)}"


async def test_killed_after_a_read_the_operator_starts_over() -> None:
    positions, expected = await _record(_be_born)
    for position in positions:
        if position.verb not in WRITES:
            found = await _disturb(_be_born, number=position.number, fault=CrashAfter())
            assert found == expected, f"killed after {position} of {len(positions)}"


@pytest.mark.parametrize("fault", [server_error(), too_many_requests(), timeout(), LoseAnswer()])
async def test_a_call_that_fails_is_made_up_for(fault: Fault) -> None:
    positions, expected = await _record(_move)
    for position in _find_distinct(positions):
        found = await _disturb(_move, number=position.number, fault=fault)
        assert found == expected, f"{fault} at {position} of {len(positions)}"
