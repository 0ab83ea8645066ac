"""States in which an EmbeddingModel can be seen, made by the operator's own code in a cluster in memory.

    python tests/support/recorded_states.py    writes them anew into tests/waiting/states

Tools that wait are held to the files, and the files to what the operator writes today.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from model_samples import COMMIT, golden, hub_spec, request_token, resolved, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.ports import Progress

FOLDER = Path(__file__).resolve().parents[1] / "waiting" / "states"

UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
        }
    ],
}
FETCHING = {
    "phase": "Pending",
    "initContainerStatuses": [{"name": "fetch", "state": {"running": {}}}],
}
LOADING = {
    "phase": "Running",
    "podIP": "10.0.0.1",
    "containerStatuses": [{"name": "runtime", "state": {"running": {}}}],
}

Scene = Callable[[SimulatedCluster], Awaitable[None]]


async def just_applied(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())


async def resolving(cluster: SimulatedCluster) -> None:
    cluster.facts.resolutions.clear()
    cluster.create_model(hub_spec())
    await cluster.reconcile()


async def downloading(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: FETCHING
    cluster.create_model(hub_spec())
    await cluster.settle()
    for pod in cluster.pods():
        cluster.facts.fetches[pod["metadata"]["uid"]] = Progress(
            files=11, files_done=3, bytes=90_000_000, bytes_done=40_000_000
        )
    await cluster.settle()


async def computing_reference(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: LOADING
    cluster.create_model(hub_spec(verification={"reference": "Auto"}))
    await cluster.settle()


async def loading(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: LOADING
    cluster.create_model(hub_spec())
    await cluster.settle()


async def serving(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden("paris"))))
    await cluster.settle()


async def golden_mismatch(cluster: SimulatedCluster) -> None:
    cluster.wrong.add("paris")
    await serving(cluster)


async def new_generation_fails(cluster: SimulatedCluster) -> None:
    await serving(cluster)
    cluster.wrong.add("cut")
    verification = verified_by(golden("cut", dimensions=4))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=verification))
    await cluster.settle()


async def insufficient_capacity(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: UNSCHEDULABLE
    cluster.create_model(hub_spec())
    await cluster.settle()


async def scaled_to_zero(cluster: SimulatedCluster) -> None:
    await serving(cluster)
    cluster.edit_spec(lambda spec: spec.update(replicas=0))
    await cluster.settle()


async def suspended(cluster: SimulatedCluster) -> None:
    await serving(cluster)
    cluster.edit_spec(lambda spec: spec.update(suspend=True, replicas=3))
    await cluster.settle()


async def space_change_not_approved(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(space=cluster.selected_space()))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()


async def replacing(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(rollout={"strategy": "Replace"}))
    await cluster.settle()
    cluster.trouble = lambda pod: LOADING
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()


async def changed_a_moment_ago(cluster: SimulatedCluster) -> None:
    await serving(cluster)
    cluster.edit_spec(lambda spec: spec.update(replicas=2))


SCENES: Mapping[str, Scene] = {
    "just-applied": just_applied,
    "resolving": resolving,
    "downloading": downloading,
    "computing-reference": computing_reference,
    "loading": loading,
    "serving": serving,
    "changed-a-moment-ago": changed_a_moment_ago,
    "golden-mismatch": golden_mismatch,
    "new-generation-fails": new_generation_fails,
    "insufficient-capacity": insufficient_capacity,
    "scaled-to-zero": scaled_to_zero,
    "suspended": suspended,
    "space-change-not-approved": space_change_not_approved,
    "replacing": replacing,
}


def play(name: str) -> dict[str, Any]:
    """The object as the operator leaves it in this state."""
    cluster = SimulatedCluster(now=datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC))
    cluster.facts.resolutions[request_token()] = resolved()
    cluster.facts.resolutions[request_token(commit=COMMIT)] = resolved()
    asyncio.run(SCENES[name](cluster))
    model = cluster.model()
    del model["metadata"]["resourceVersion"]  # counts every write to every object
    return model


def write(model: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(model), sort_keys=True, width=120, allow_unicode=True)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        (FOLDER / f"{scene}.yaml").write_text(write(play(scene)))
