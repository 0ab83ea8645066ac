"""An operator that serves some namespaces only, with the chart's rights in those and nowhere else."""

from collections.abc import Sequence
from typing import Any

import pytest
from operator_under_test import OperatorWorld, embedding_model

pytestmark = pytest.mark.apiserver

REPO = "acme/tiny"


@pytest.fixture(scope="module")
def namespaces() -> Sequence[str]:
    return ("search", "chat")


def test_models_of_the_served_namespaces_are_served_and_no_right_is_missing(world: OperatorWorld) -> None:
    world.cluster.apply(embedding_model("elsewhere", repo=REPO, namespace="default"))
    world.start_leader()

    def deployments(namespace: str) -> Sequence[Any]:
        return world.cluster.list("deployments", namespace=namespace)

    for namespace in ("search", "chat"):
        world.cluster.apply(embedding_model("tiny", repo=REPO, namespace=namespace))
        world.wait_for(f"a Deployment in {namespace}", lambda namespace=namespace: deployments(namespace))
    assert deployments("default") == []
    refused = [event for event in world.operator_events(since=0) if event["responseStatus"]["code"] in (401, 403)]
    assert [(event["verb"], event["requestURI"]) for event in refused] == []
