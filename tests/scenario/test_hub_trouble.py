"""A hub that is down, hangs or refuses takes nothing from a model that serves: its bytes are pinned and stored."""

from typing import Any

import pytest
from model_samples import REPO, golden, hub_spec, refused, verified_by
from simulated_cluster import SimulatedCluster

from embedding_model.refusal import Reason
from embedding_operator.kube.gateway import CONFIG_MAP
from embedding_operator.observe.facts import InProgress, MemoryFacts, Refused, Resolution, ResolutionRequest, Retrying
from embedding_operator.observe.snapshot import Object

TRACKED = {"huggingFace": {"repo": REPO, "revision": "main", "updatePolicy": "Track"}}
PINNED = {"huggingFace": {"repo": REPO, "revision": "main"}}


class FactsOfABadDay(MemoryFacts):
    """What a restarted operator knows while the hub answers every question alike."""

    answer: Resolution = InProgress()

    def resolution(self, key: object, *, request: ResolutionRequest) -> Resolution:
        self.resolutions_requested.append(request)
        return self.answer


def _restart(cluster: SimulatedCluster, *, answer: Resolution) -> FactsOfABadDay:
    facts = FactsOfABadDay(key_data=cluster.facts.key_data)
    facts.answer = answer
    cluster.facts = facts
    return facts


def _models(cluster: SimulatedCluster) -> list[Object]:
    return [item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"]]


@pytest.fixture(params=["down", "hangs", "refuses"])
def answer(request: pytest.FixtureRequest, cluster: SimulatedCluster) -> Resolution:
    answers: dict[str, InProgress | Retrying | Refused] = {
        "down": Retrying("the hub does not answer", since=cluster.now, attempts=3),
        "hangs": InProgress(),
        "refuses": refused(Reason.REPOSITORY_NOT_FOUND, "no repository acme/tiny"),
    }
    return answers[request.param]


@pytest.mark.parametrize("source", [PINNED, TRACKED], ids=["pinned", "tracked"])
async def test_an_operator_that_restarts_without_a_hub_leaves_all_as_it_was(
    cluster: SimulatedCluster, answer: Resolution, source: dict[str, Any]
) -> None:
    cluster.create_model(hub_spec(model=source, verification=verified_by(golden())))
    await cluster.settle()
    pods = cluster.ready_pods()
    _restart(cluster, answer=answer)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Resolved") == ("True", "Resolved")
    assert cluster.ready_pods() == pods


async def test_what_needs_no_hub_is_done_without_one(cluster: SimulatedCluster, answer: Resolution) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    stored, pods = _models(cluster), cluster.ready_pods()
    facts = _restart(cluster, answer=answer)
    cluster.edit_spec(lambda spec: spec.update(replicas=2, resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert len(cluster.ready_pods()) == 2
    assert not cluster.ready_pods() & pods
    assert _models(cluster) == stored
    assert facts.resolutions_requested == []


async def test_a_change_that_needs_the_hub_waits_while_the_pods_before_serve(
    cluster: SimulatedCluster, answer: Resolution
) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    pods = cluster.ready_pods()
    _restart(cluster, answer=answer)
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(revision="v2"))
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.ready_pods() == pods
    assert cluster.says("Ready") != ("True", "Serving")
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(revision="main"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.ready_pods() == pods
