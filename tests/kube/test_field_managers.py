"""Several managers of one object, asked of the in-memory Gateway and of a real API server alike."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest
from live_cluster import LiveCluster

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.connection import load_configuration
from embedding_operator.kube.gateway import DEPLOYMENT, Conflict, FieldConflict, Gateway, Object
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.observe.facts import MemoryFacts
from embedding_operator.reconcile.conflicts import ContestedFields, apply_or_restore
from embedding_operator.reconcile.restorations import FREE_RESTORATIONS, Restorations


class Others(Protocol):
    """Everybody else who writes to the API server."""

    def apply(self, manifest: dict[str, Any], *, manager: str) -> None:
        """A GitOps tool: server-side apply, forced."""

    def patch(self, name: str, *, spec: dict[str, Any]) -> None:
        """A hand: kubectl patch of a Deployment."""

    def scale(self, name: str, *, replicas: int) -> None:
        """A hand: kubectl scale of a Deployment, through its subresource."""


@dataclass(frozen=True)
class InMemory:
    gateway: MemoryGateway

    def apply(self, manifest: dict[str, Any], *, manager: str) -> None:
        self.gateway.apply_as(manager, manifest=manifest)

    def patch(self, name: str, *, spec: dict[str, Any]) -> None:
        self.gateway.edit(DEPLOYMENT, lambda item: item["spec"].update(spec), namespace="default", name=name)

    def scale(self, name: str, *, replicas: int) -> None:
        self.gateway.scale(DEPLOYMENT, namespace="default", name=name, replicas=replicas, manager="kubectl")


@dataclass(frozen=True)
class OnTheCluster:
    cluster: LiveCluster

    def apply(self, manifest: dict[str, Any], *, manager: str) -> None:
        options = ("--server-side", "--force-conflicts", "--field-manager", manager)
        self.cluster.kubectl("apply", *options, "-f", "-", stdin=json.dumps(manifest))

    def patch(self, name: str, *, spec: dict[str, Any]) -> None:
        self.cluster.patch("deployment", name, namespace="default", patch={"spec": spec})

    def scale(self, name: str, *, replicas: int) -> None:
        self.cluster.kubectl("scale", "deployment", name, "-n", "default", f"--replicas={replicas}")


@dataclass(frozen=True)
class World:
    gateway: Gateway
    others: Others
    name: str
    restorations: Restorations = field(
        default_factory=lambda: Restorations(facts=MemoryFacts(), asked="1@", now=datetime(2026, 3, 1, tzinfo=UTC))
    )

    async def live(self) -> Object:
        found = await self.gateway.get(DEPLOYMENT, namespace="default", name=self.name)
        assert found is not None
        return found

    async def restore(self, manifest: Object, *, uid: str | None = None) -> Object:
        """Of the object that is there, or of the one of this uid."""
        meant = uid or (await self.live())["metadata"]["uid"]
        return await apply_or_restore(
            self.gateway, manifest, kind=DEPLOYMENT, uid=meant, restorations=self.restorations
        )

    async def find_managers(self) -> set[tuple[str, str]]:
        live = await self.live()
        return {(item["manager"], item["operation"]) for item in live["metadata"]["managedFields"]}


@pytest.fixture(params=["memory", pytest.param("apiserver", marks=pytest.mark.apiserver)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    name = f"managers-{uuid.uuid4().hex[:10]}"
    if request.param == "memory":
        memory = MemoryGateway()
        yield World(memory, InMemory(memory), name)
        return
    kubeconfig: Path = request.getfixturevalue("kubeconfig")
    cluster: LiveCluster = request.getfixturevalue("live_cluster")
    async with KubernetesGateway(await load_configuration(kubeconfig=kubeconfig)) as gateway:
        yield World(gateway, OnTheCluster(cluster), name)
        await gateway.delete(DEPLOYMENT, namespace="default", name=name)


def deployment(name: str, *, image: str = "example.invalid/a", **spec: Any) -> dict[str, Any]:
    labels = {"embedding-operator.dev/model": name}
    # No scheduler has this name: where a test scales it up, no kubelet tries to start it.
    pod = {"schedulerName": "nobody", "containers": [{"name": "runtime", "image": image}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
            **spec,
        },
    }


async def test_what_another_manager_applies_is_named_and_nothing_is_written(world: World) -> None:
    await world.gateway.apply(deployment(world.name))
    world.others.apply(deployment(world.name, image="example.invalid/theirs"), manager="gitops")
    with pytest.raises(FieldConflict) as caught:
        await world.gateway.apply(deployment(world.name, minReadySeconds=7))
    [held] = caught.value.held
    assert (held.manager, held.subresource) == ("gitops", "")
    assert held.field == '.spec.template.spec.containers[name="runtime"].image'
    live = await world.live()
    assert live["spec"].get("minReadySeconds") is None
    assert {(FIELD_MANAGER, "Apply"), ("gitops", "Apply")} <= await world.find_managers()


async def test_a_hand_holds_by_update_what_it_changed(world: World) -> None:
    await world.gateway.apply(deployment(world.name, minReadySeconds=1))
    world.others.patch(world.name, spec={"minReadySeconds": 7})
    with pytest.raises(FieldConflict) as caught:
        await world.gateway.apply(deployment(world.name, minReadySeconds=1))
    [held] = caught.value.held
    assert held.field == ".spec.minReadySeconds"
    assert (held.manager, "Update") in await world.find_managers()
    assert (held.manager, "Apply") not in await world.find_managers()


async def test_a_forced_apply_takes_a_field_and_the_next_one_needs_no_force(world: World) -> None:
    await world.gateway.apply(deployment(world.name, minReadySeconds=1))
    world.others.apply(deployment(world.name, minReadySeconds=7), manager="gitops")
    restored = await world.gateway.apply(deployment(world.name, minReadySeconds=1), force=True)
    assert restored["spec"]["minReadySeconds"] == 1
    moved = await world.gateway.apply(deployment(world.name, minReadySeconds=2))
    assert moved["spec"]["minReadySeconds"] == 2


async def test_managers_who_apply_the_same_value_do_not_conflict(world: World) -> None:
    await world.gateway.apply(deployment(world.name, minReadySeconds=1))
    world.others.apply(deployment(world.name, minReadySeconds=1), manager="gitops")
    again = await world.gateway.apply(deployment(world.name, minReadySeconds=1))
    assert again["spec"]["minReadySeconds"] == 1
    left_out = await world.gateway.apply(deployment(world.name))
    assert left_out["spec"]["minReadySeconds"] == 1, "somebody else still applies it"


async def test_what_we_created_before_may_be_taken_over_by_an_apply_only_with_force(world: World) -> None:
    await world.gateway.create(deployment(world.name, minReadySeconds=1))
    with pytest.raises(FieldConflict) as caught:
        await world.gateway.apply(deployment(world.name, minReadySeconds=2))
    assert [(item.manager, item.field) for item in caught.value.held] == [(FIELD_MANAGER, ".spec.minReadySeconds")]
    assert (FIELD_MANAGER, "Update") in await world.find_managers()
    taken = await world.gateway.apply(deployment(world.name, minReadySeconds=2), force=True)
    assert taken["spec"]["minReadySeconds"] == 2


async def test_what_hands_scaled_and_edited_is_restored(world: World) -> None:
    wanted = deployment(world.name, minReadySeconds=1)
    await world.gateway.apply(wanted)
    world.others.scale(world.name, replicas=1)
    world.others.patch(world.name, spec={"minReadySeconds": 7})
    restored = await world.restore(wanted)
    assert (restored["spec"]["replicas"], restored["spec"]["minReadySeconds"]) == (0, 1)


async def test_what_another_manager_applies_is_not_taken_from_it(world: World) -> None:
    wanted = deployment(world.name, minReadySeconds=1)
    await world.gateway.apply(wanted)
    world.others.apply(deployment(world.name, minReadySeconds=7), manager="gitops")
    world.others.scale(world.name, replicas=1)
    with pytest.raises(FieldConflict) as caught:
        await world.restore(wanted)
    assert [(item.manager, item.field) for item in caught.value.held] == [("gitops", ".spec.minReadySeconds")]
    live = await world.live()
    assert (live["spec"]["replicas"], live["spec"]["minReadySeconds"]) == (1, 7)


async def test_who_scales_a_deployment_again_and_again_is_named_and_left_alone(world: World) -> None:
    wanted = deployment(world.name)
    await world.gateway.apply(wanted)
    for _ in range(FREE_RESTORATIONS):
        world.others.scale(world.name, replicas=1)
        restored = await world.restore(wanted)
        assert restored["spec"]["replicas"] == 0
    world.others.scale(world.name, replicas=1)
    with pytest.raises(ContestedFields) as caught:
        await world.restore(wanted)
    assert [(item.manager, item.subresource, item.field) for item in caught.value.held] == [
        ("kubectl", "scale", ".spec.replicas")
    ]
    live = await world.live()
    assert live["spec"]["replicas"] == 1


@pytest.mark.parametrize("is_made_again", [True, False])
async def test_what_has_gone_is_neither_made_anew_nor_is_its_namesake_written_over(
    world: World, is_made_again: bool
) -> None:
    wanted = deployment(world.name, minReadySeconds=1)
    uid = (await world.gateway.apply(wanted))["metadata"]["uid"]
    await world.gateway.delete(DEPLOYMENT, namespace="default", name=world.name)
    if is_made_again:
        world.others.apply(deployment(world.name), manager="kubectl")
        world.others.patch(world.name, spec={"minReadySeconds": 7})
    with pytest.raises(Conflict):
        await world.restore(wanted, uid=uid)
    found = await world.gateway.get(DEPLOYMENT, namespace="default", name=world.name)
    assert (found is not None) == is_made_again
    assert found is None or found["spec"]["minReadySeconds"] == 7
