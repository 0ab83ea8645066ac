"""What was changed by hand comes back; what is not ours is never touched; an operator upgrade changes nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from model_samples import golden, hub_spec, verified_by
from operator_settings import settings
from simulated_cluster import KEY, SimulatedCluster

from embedding_operator.api import names
from embedding_operator.judge.generations import list_mounted
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Conflict,
    Kind,
    Object,
)
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.reconcile.outcome import Wait
from embedding_operator.settings import UpgradePolicy


def _edit(cluster: SimulatedCluster, kind: Kind, change: Callable[[dict[str, Any]], None]) -> None:
    name = cluster.all(kind)[0]["metadata"]["name"]
    cluster.gateway.edit(kind, change, namespace=KEY.namespace, name=name)


def _scale(item: dict[str, Any]) -> None:
    item["spec"]["replicas"] = 7


def _change_image(item: dict[str, Any]) -> None:
    item["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"


def _drop_traffic(item: dict[str, Any]) -> None:
    del item["spec"]["selector"][names.LABEL_TRAFFIC]


def _narrow_traffic(item: dict[str, Any]) -> None:
    item["spec"]["selector"]["app"] = "nothing-of-ours"


def _drop_our_hash(item: dict[str, Any]) -> None:
    del item["metadata"]["annotations"][names.ANNOTATION_APPLIED]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (DEPLOYMENT, _scale),
        (DEPLOYMENT, _change_image),
        (SERVICE, _drop_traffic),
        (SERVICE, _narrow_traffic),
        (SERVICE, _drop_our_hash),
    ],
)
async def test_what_was_edited_by_hand_is_restored(
    cluster: SimulatedCluster, kind: Kind, change: Callable[[dict[str, Any]], None]
) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = [item["spec"] for item in cluster.all(kind)]
    _edit(cluster, kind, change)
    await cluster.settle()
    assert [item["spec"] for item in cluster.all(kind)] == before
    assert cluster.says("Ready") == ("True", "Serving")


async def test_what_others_add_stays(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()

    def add(item: dict[str, Any]) -> None:
        item["metadata"]["annotations"]["example.com/note"] = "mine"
        item["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "proxy:1"})

    _edit(cluster, DEPLOYMENT, add)
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert [call for call in cluster.gateway.writes if call.kind == "Deployment"] == []


@pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE])
async def test_what_was_deleted_by_hand_comes_back_as_it_was(cluster: SimulatedCluster, kind: Kind) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = [(item["metadata"]["annotations"], item["spec"]) for item in cluster.all(kind)]
    cluster.settings = settings(image="runtime:2")  # a newer operator must not slip in
    cluster.gateway.remove(kind, namespace=KEY.namespace, name=cluster.all(kind)[0]["metadata"]["name"])
    await cluster.settle()
    assert [(item["metadata"]["annotations"], item["spec"]) for item in cluster.all(kind)] == before


async def test_a_disruption_budget_that_was_edited_or_deleted_by_hand_is_restored(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(replicas=2))
    await cluster.settle()
    [before] = cluster.all(POD_DISRUPTION_BUDGET)
    _edit(cluster, POD_DISRUPTION_BUDGET, lambda item: item["spec"].update(maxUnavailable=0))
    await cluster.settle()
    assert [item["spec"] for item in cluster.all(POD_DISRUPTION_BUDGET)] == [before["spec"]]
    cluster.take_away(POD_DISRUPTION_BUDGET, before["metadata"]["name"])
    await cluster.settle()
    assert [item["spec"] for item in cluster.all(POD_DISRUPTION_BUDGET)] == [before["spec"]]


async def test_config_maps_deleted_by_hand_come_back(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = {item["metadata"]["name"]: item["data"] for item in cluster.all(CONFIG_MAP)}
    for name in before:
        cluster.gateway.remove(CONFIG_MAP, namespace=KEY.namespace, name=name)
        await cluster.settle()
        assert {item["metadata"]["name"]: item["data"] for item in cluster.all(CONFIG_MAP)} == before


async def test_an_operator_upgrade_changes_no_deployment_and_is_reported(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    before = cluster.all(DEPLOYMENT)
    cluster.settings = settings(image="runtime:2")
    await cluster.settle()
    assert cluster.all(DEPLOYMENT) == before
    assert cluster.says("Ready") == ("True", "UpdateAvailable")
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    assert cluster.status()["pods"]["runtimeImage"] == "runtime:2"
    assert cluster.says("Ready") == ("True", "Serving")


async def test_an_upgrade_cures_pods_that_never_could_start(cluster: SimulatedCluster) -> None:
    held = {"name": "runtime", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    broken = {"phase": "Pending", "containerStatuses": [held]}
    cluster.trouble = lambda pod: broken if pod["spec"]["containers"][0]["image"] == "runtime:1" else None
    cluster.create_model(hub_spec())
    await cluster.settle()
    assert cluster.says("Ready") == ("False", "ImageUnavailable")
    cluster.settings = settings(image="runtime:2")
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_under_upgrade_policy_rolling_a_newer_image_is_rolled_out(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.settings = settings(image="runtime:2", policy=UpgradePolicy.ROLLING)
    await cluster.settle()
    assert cluster.status()["pods"]["runtimeImage"] == "runtime:2"
    assert cluster.says("Ready") == ("True", "Serving")
    templates = [item for item in cluster.all(CONFIG_MAP) if "-template-" in item["metadata"]["name"]]
    assert len(templates) == 1


def _their_service(app: str, *, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": app}}}


async def _lose_a_name(cluster: SimulatedCluster, changing: type[MemoryGateway], *, to: str) -> None:
    """During one reconcile the API server is `changing`, and the Service's name becomes the one of app `to`."""
    ours, cluster.gateway.__class__ = type(cluster.gateway), changing
    with pytest.raises(Conflict):
        await cluster.reconcile()
    cluster.gateway.__class__ = ours
    await cluster.settle()
    assert [item["spec"]["selector"] for item in cluster.all(SERVICE)] == [{"app": to}]
    assert cluster.says("Stalled") == ("True", "Conflict")


@pytest.mark.parametrize("labelled", [False, True])
async def test_an_object_of_somebody_else_is_never_touched(cluster: SimulatedCluster, labelled: bool) -> None:
    labels = {names.LABEL_MODEL: KEY.name} if labelled else {}
    foreign = cluster.gateway.put(_their_service("theirs", labels=labels))
    cluster.create_model(hub_spec())
    assert isinstance(await cluster.settle(), Wait)
    assert cluster.find(SERVICE, KEY.name) == foreign
    assert cluster.says("Stalled") == ("True", "Conflict")
    assert "Service tiny" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_an_object_that_takes_a_name_just_as_another_one_leaves_it_is_not_touched(
    cluster: SimulatedCluster,
) -> None:
    class Changing(MemoryGateway):
        async def get(self, kind: Kind, *, namespace: str, name: str) -> Object | None:
            if kind is not SERVICE:
                return await super().get(kind, namespace=namespace, name=name)
            self.remove(kind, namespace=namespace, name=name)
            self.put(_their_service("second"))
            return None

    cluster.gateway.put(_their_service("first"))
    cluster.create_model(hub_spec())
    await _lose_a_name(cluster, Changing, to="second")


async def test_an_object_that_takes_a_listed_child_s_name_before_it_is_written_is_not_touched(
    cluster: SimulatedCluster,
) -> None:
    class Changing(MemoryGateway):
        async def apply(self, manifest: Object, *, force: bool = False) -> Object:
            if manifest["kind"] == SERVICE.kind:
                self.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
                self.put(_their_service("theirs"))
            return await super().apply(manifest, force=force)

    cluster.create_model(hub_spec())
    await cluster.settle()
    cluster.gateway.edit(SERVICE, lambda item: item["spec"]["selector"].clear(), namespace=KEY.namespace, name=KEY.name)
    await _lose_a_name(cluster, Changing, to="theirs")


async def test_children_of_a_namesake_that_is_gone_are_waited_for(cluster: SimulatedCluster) -> None:
    old_owner = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": KEY.name,
        "uid": "gone",
        "controller": True,
    }
    cluster.gateway.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "namespace": KEY.namespace,
                "name": KEY.name,
                "labels": {names.LABEL_MODEL: KEY.name},
                "ownerReferences": [old_owner],
            },
            "spec": {},
        }
    )
    cluster.create_model(hub_spec())
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "Terminating")
    cluster.gateway.remove(SERVICE, namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def _serve_while_another_space_is_refused(cluster: SimulatedCluster) -> tuple[str, ...]:
    """Names of the ConfigMaps that the serving pod mounts, of which the spec says nothing any more."""
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    [pod] = cluster.pods()
    cluster.wrong = {"rome"}
    rome = verified_by(golden("rome", dimensions=4))
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, verification=rome))
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    mounted = [name for part in ("model-config", "goldens") for name in list_mounted(pod["spec"], volume=part)]
    return tuple(mounted)


def _restart_serving_pods(cluster: SimulatedCluster) -> None:
    for pod in cluster.pods():
        if pod["metadata"]["labels"][names.LABEL_SPACE] == cluster.selected_space():
            cluster.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])


async def test_what_serving_pods_mount_comes_back_though_the_spec_asks_for_something_else(
    cluster: SimulatedCluster,
) -> None:
    mounted = await _serve_while_another_space_is_refused(cluster)
    before = [cluster.find(CONFIG_MAP, name) or {} for name in mounted]
    for name in mounted:
        cluster.take_away(CONFIG_MAP, name)
    await cluster.reconcile()
    after = [cluster.find(CONFIG_MAP, name) or {} for name in mounted]
    assert [(item["data"], item["metadata"]["annotations"]) for item in after] == [
        (item["data"], item["metadata"]["annotations"]) for item in before
    ]
    _restart_serving_pods(cluster)
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")


async def test_what_nobody_saw_before_it_was_deleted_is_named_and_the_way_back_makes_it_anew(
    cluster: SimulatedCluster,
) -> None:
    mounted = await _serve_while_another_space_is_refused(cluster)
    for name in mounted:
        cluster.take_away(CONFIG_MAP, name)
    cluster.facts.noted_documents.clear()  # another replica leads by now
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert all(name in (cluster.condition("Available") or {})["message"] for name in mounted)
    _restart_serving_pods(cluster)
    await cluster.settle()
    assert cluster.says("Available") == ("False", "NotAvailable")
    cluster.edit_spec(lambda spec: spec.update(embedding={}, verification=verified_by(golden())))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert all(cluster.find(CONFIG_MAP, name) for name in mounted)


async def test_nothing_is_held_of_a_model_that_serves_what_it_is_asked_for(cluster: SimulatedCluster) -> None:
    await _serve_while_another_space_is_refused(cluster)
    assert cluster.facts.documents(KEY)
    cluster.wrong = set()
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.facts.documents(KEY) == {}


async def test_a_serving_deployment_that_a_hand_deleted_finds_what_its_pods_mount(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    space = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}, space=space))
    await cluster.settle()
    assert cluster.says("Stalled") is not None
    name = names.deployment_name(KEY.name, fingerprint=space)
    for pod in cluster.pods():  # as the garbage collector does
        if pod["metadata"]["name"].startswith(f"{name}-"):
            cluster.gateway.remove(POD, namespace=KEY.namespace, name=pod["metadata"]["name"])
    cluster.take_away(DEPLOYMENT, name)
    await cluster.settle()
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
