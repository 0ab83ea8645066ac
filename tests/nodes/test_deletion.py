"""An EmbeddingModel goes, in whatever state it is: what goes with it, what stays, and that nothing comes back."""

from collections.abc import Sequence

import pytest
from nodes_under_test import NodesWorld, Object, names_of
from responding_pods import Fault

pytestmark = pytest.mark.apiserver

CHILDREN = "deployments,replicasets,pods,services,configmaps,jobs,poddisruptionbudgets,endpointslices"
REFERENCED = {"reference": "Auto"}


def children(world: NodesWorld, *, namespace: str) -> list[str]:
    """All objects but what Kubernetes puts into every namespace."""
    found = world.cluster.list(CHILDREN, namespace=namespace)
    return sorted(f"{item['kind']} {item['metadata']['name']}" for item in found if not is_of_kubernetes(item))


def is_of_kubernetes(item: Object) -> bool:
    return bool(item["metadata"]["name"] == "kube-root-ca.crt")


def bring_into_every_state(world: NodesWorld, *, namespace: str) -> set[str]:
    """One model of each state; their names."""
    faults = {"failing": Fault.WRONG, "starting": Fault.SILENT, "computing": Fault.SILENT}
    world.responder.faults.update({f"{namespace}/{name}": fault for name, fault in faults.items()})
    world.apply("serving", namespace=namespace, replicas=2)
    world.apply("failing", namespace=namespace, verification=REFERENCED)
    world.apply("starting", namespace=namespace)
    world.apply("computing", namespace=namespace, verification=REFERENCED)
    world.apply("unknown", namespace=namespace, repo="acme/nothing")
    for name in ("suspended", "changing"):
        world.serve(name, namespace=namespace)
    world.cluster.patch("em", "suspended", namespace=namespace, patch={"spec": {"suspend": True}})
    world.responder.faults[f"{namespace}/changing"] = Fault.SILENT
    world.cluster.patch("em", "changing", namespace=namespace, patch={"spec": {"embedding": {"dimensions": 4}}})
    world.wait_ready("serving", namespace=namespace, replicas=2)
    world.wait_reason("failing", namespace=namespace, kind="Stalled", reason="GoldenMismatch")
    world.wait_reason("unknown", namespace=namespace, kind="Stalled", reason="RepositoryNotFound")
    world.wait_reason("computing", namespace=namespace, kind="Reconciling", reason="ComputingReference")
    world.operator.wait_for("two generations", lambda: len(deployments(world, "changing", namespace=namespace)) == 2)
    names = {"serving", "failing", "starting", "computing", "unknown", "suspended", "changing"}
    assert names_of(world.cluster.list("em", namespace=namespace)) == names
    return names


def deployments(world: NodesWorld, model: str, *, namespace: str) -> Sequence[Object]:
    return world.cluster.list("deployments", namespace=namespace, labels=f"embedding-operator.dev/model={model}")


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_everything_of_it_goes_in_every_state(world: NodesWorld, namespace: str, cascade: str) -> None:
    names = bring_into_every_state(world, namespace=namespace)
    world.cluster.kubectl("delete", "em", *sorted(names), "-n", namespace, f"--cascade={cascade}", "--timeout=60s")
    world.operator.wait_for("nothing is left", lambda: not children(world, namespace=namespace))
    assert not world.cluster.list("em", namespace=namespace)
    assert_calm(world)


def test_orphans_go_on_serving_and_a_new_model_of_the_name_leaves_them_alone(world: NodesWorld, namespace: str) -> None:
    world.serve("left", namespace=namespace, replicas=2)
    before = children(world, namespace=namespace)
    pods = names_of(world.pods(namespace=namespace))
    world.cluster.kubectl("delete", "em", "left", "-n", namespace, "--cascade=orphan", "--timeout=60s")
    world.apply("left", namespace=namespace, replicas=2)
    said = world.wait_reason("left", namespace=namespace, kind="Stalled", reason="Conflict")
    assert "left" in said["message"]
    assert set(before) <= set(children(world, namespace=namespace))
    assert names_of(world.pods(namespace=namespace)) == pods
    assert_calm(world)


def test_a_namespace_goes_with_its_models_in_every_state(world: NodesWorld, namespace: str) -> None:
    bring_into_every_state(world, namespace=namespace)
    world.cluster.kubectl("delete", "namespace", namespace, "--timeout=60s")
    assert world.cluster.get("namespace", namespace, namespace="default") is None
    assert_calm(world)


def assert_calm(world: NodesWorld) -> None:
    """No stack was logged: everything that happened was foreseen."""
    assert world.replica.is_running
    assert "Traceback" not in world.replica.log.read_text()
