"""What reconcile relies on, asked of the in-memory Gateway and of a real API server alike."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.audit.token import Claims
from embedding_operator.kube.client import PAGE_SIZE, KubernetesGateway
from embedding_operator.kube.connection import load_configuration
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    LEASE,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    Conflict,
    FieldConflict,
    Gateway,
    GatewayError,
    Invalid,
    Kind,
)
from embedding_operator.kube.memory import MemoryGateway
from embedding_operator.reconcile.apply import BEFORE_ANY_WRITE

LABEL = "embedding-operator.dev/model"


@pytest.fixture(params=["memory", pytest.param("apiserver", marks=pytest.mark.apiserver)])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    if request.param == "memory":
        yield MemoryGateway(paths={"/openid/v1/jwks": {"keys": [{"kid": "a"}]}})
        return
    kubeconfig: Path = request.getfixturevalue("kubeconfig")
    async with KubernetesGateway(await load_configuration(kubeconfig=kubeconfig)) as real:
        yield real


@pytest.fixture
def name() -> str:
    """A name nobody else uses: the API server is shared, so every test has objects of its own in `default`."""
    return f"contract-{uuid.uuid4().hex[:10]}"


def configmap(name: str, *, data: dict[str, str], **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": {LABEL: name}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data, **fields}


def deployment(name: str, *, replicas: int = 0, image: str = "example.invalid/a", env: Any = None) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "runtime", "image": image}
    if env is not None:
        container["env"] = env
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": {LABEL: name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {LABEL: name}},
            "template": {"metadata": {"labels": {LABEL: name}}, "spec": {"containers": [container]}},
        },
    }


def owner_of(child: dict[str, Any], *, owner: Any) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"]}
    child["metadata"]["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"]}]
    return child


async def get_existing(gateway: Gateway, kind: Any, *, name: str) -> Any:
    found = await gateway.get(kind, namespace="default", name=name)
    assert found is not None
    return found


async def test_text_of_every_plane_comes_back_as_it_was_applied(gateway: Gateway, name: str) -> None:
    text = "".join(map(chr, (9, 10, 34, 92, 0x7F, 0x85, 0xE9, 0x2028, 0x4E16, 0xFEFF, 0xFFFD, 0x1F680, 0x10FFFD)))
    await gateway.apply(configmap(name, data={"text": text}))
    found = await get_existing(gateway, CONFIG_MAP, name=name)
    assert found["data"] == {"text": text}


async def test_a_missing_object_is_none_and_a_missing_list_is_empty(gateway: Gateway, name: str) -> None:
    assert await gateway.get(CONFIG_MAP, namespace="default", name=name) is None
    assert list(await gateway.list(CONFIG_MAP, namespace="default", labels={LABEL: name})) == []
    await gateway.delete(CONFIG_MAP, namespace="default", name=name)


async def test_applying_twice_changes_nothing_the_second_time(gateway: Gateway, name: str) -> None:
    first = await gateway.apply(configmap(name, data={"a": "1"}))
    second = await gateway.apply(configmap(name, data={"a": "1"}))
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_what_is_applied_under_a_uid_changes_that_object_and_no_namesake(gateway: Gateway, name: str) -> None:
    for kind, made in ((CONFIG_MAP, configmap(name, data={"a": "1"})), (DEPLOYMENT, deployment(name))):
        created = await gateway.apply(made)
        uid, labels = created["metadata"]["uid"], {LABEL: name, "extra": "yes"}
        after = await gateway.apply({**made, "metadata": {**made["metadata"], "labels": labels, "uid": uid}})
        assert (after["metadata"]["uid"], after["metadata"]["labels"]) == (uid, labels)
        assert "uid" not in str(after["metadata"].get("managedFields"))
        stranger = {**made, "metadata": {**made["metadata"], "uid": str(uuid.uuid4())}}
        for force in (False, True):
            with pytest.raises(Conflict):
                await gateway.apply(stranger, force=force)
        assert (await get_existing(gateway, kind, name=name))["metadata"]["labels"] == labels


async def test_what_is_applied_under_a_uid_is_not_made_anew(gateway: Gateway, name: str) -> None:
    made = configmap(name, data={"a": "1"})
    with pytest.raises(Conflict):
        await gateway.apply({**made, "metadata": {**made["metadata"], "uid": str(uuid.uuid4())}})
    assert await gateway.get(CONFIG_MAP, namespace="default", name=name) is None


async def test_a_field_that_is_no_longer_applied_is_removed(gateway: Gateway, name: str) -> None:
    await gateway.apply(configmap(name, data={"a": "1", "b": "2"}))
    after = await gateway.apply(configmap(name, data={"a": "1"}))
    assert after["data"] == {"a": "1"}


async def test_a_selector_is_replaced_whole(gateway: Gateway, name: str) -> None:
    def service(selector: dict[str, str]) -> dict[str, Any]:
        spec = {"selector": selector, "ports": [{"port": 80}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "default", "name": name}, "spec": spec}

    await gateway.create(service({"a": "1", "theirs": "2"}))
    with pytest.raises(FieldConflict) as caught:
        await gateway.apply(service({"a": "1"}))
    assert [item.field for item in caught.value.held] == [".spec.selector"]
    after = await gateway.apply(service({"a": "1"}), force=True)
    assert after["spec"]["selector"] == {"a": "1"}


async def test_list_items_with_a_key_merge_and_vanish_by_that_key(gateway: Gateway, name: str) -> None:
    await gateway.apply(deployment(name, env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))
    after = await gateway.apply(deployment(name, env=[{"name": "B", "value": "3"}]))
    container = after["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "B", "value": "3"}]
    assert container["image"] == "example.invalid/a"


async def test_generation_moves_with_the_spec_and_not_with_labels(gateway: Gateway, name: str) -> None:
    first = await gateway.apply(deployment(name))
    labelled = deployment(name)
    labelled["metadata"]["labels"]["extra"] = "yes"
    second = await gateway.apply(labelled)
    third = await gateway.apply(deployment(name, image="example.invalid/b"))
    assert second["metadata"]["generation"] == first["metadata"]["generation"]
    assert third["metadata"]["generation"] == first["metadata"]["generation"] + 1


async def test_the_selector_of_a_deployment_cannot_change(gateway: Gateway, name: str) -> None:
    await gateway.apply(deployment(name))
    changed = deployment(name)
    changed["spec"]["selector"] = {"matchLabels": {"other": name}}
    changed["spec"]["template"]["metadata"]["labels"] = {"other": name}
    with pytest.raises(Invalid, match="immutable"):
        await gateway.apply(changed)


async def test_an_immutable_configmap_refuses_other_data(gateway: Gateway, name: str) -> None:
    await gateway.apply(configmap(name, data={"a": "1"}, immutable=True))
    with pytest.raises(Invalid, match="immutable"):
        await gateway.apply(configmap(name, data={"a": "2"}, immutable=True))


async def test_creating_a_taken_name_is_a_conflict(gateway: Gateway, name: str) -> None:
    created = await gateway.create(configmap(name, data={"a": "1"}))
    assert created["metadata"]["uid"]
    with pytest.raises(Conflict):
        await gateway.create(configmap(name, data={"a": "1"}))


@pytest.mark.parametrize("kind", [CONFIG_MAP, DEPLOYMENT, SERVICE, JOB, POD_DISRUPTION_BUDGET])
async def test_what_is_applied_as_of_before_any_write_is_created_and_meets_nothing_that_is_there(
    gateway: Gateway, name: str, kind: Kind
) -> None:
    manifest = child(kind, name)
    first = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": BEFORE_ANY_WRITE}}
    created = await gateway.apply(first)
    assert created["metadata"]["resourceVersion"] != BEFORE_ANY_WRITE
    for labels in ({LABEL: name}, {LABEL: name, "another": "label"}):
        with pytest.raises(Conflict):
            await gateway.apply({**first, "metadata": {**first["metadata"], "labels": labels}})
    live = await get_existing(gateway, kind, name=name)
    assert (live["metadata"]["uid"], live["metadata"]["labels"]) == (created["metadata"]["uid"], {LABEL: name})
    again = await gateway.apply(manifest)
    assert again["metadata"]["uid"] == live["metadata"]["uid"]
    if kind in (CONFIG_MAP, SERVICE):  # controllers write the status of the others meanwhile
        assert again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    await gateway.delete(kind, namespace="default", name=name)


def child(kind: Kind, name: str) -> dict[str, Any]:
    if kind in (CONFIG_MAP, DEPLOYMENT, JOB):
        return {CONFIG_MAP: configmap(name, data={"a": "1"}), DEPLOYMENT: deployment(name), JOB: job(name)}[kind]
    metadata = {"name": name, "namespace": "default", "labels": {LABEL: name}}
    spec = {"selector": {"a": "b"}, "ports": [{"name": "http", "port": 80}]}
    if kind is POD_DISRUPTION_BUDGET:
        spec = {"selector": {"matchLabels": {"a": "b"}}, "maxUnavailable": 1}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


async def test_a_list_selects_by_label_and_names_the_kind(gateway: Gateway, name: str) -> None:
    await gateway.apply(configmap(name, data={}))
    await gateway.apply(configmap(f"{name}-other", data={}))
    found = await gateway.list(CONFIG_MAP, namespace="default", labels={LABEL: name})
    assert [item["metadata"]["name"] for item in found] == [name]
    assert (found[0]["apiVersion"], found[0]["kind"]) == ("v1", "ConfigMap")
    everywhere = await gateway.list(CONFIG_MAP, namespace=None, labels={LABEL: name})
    assert [item["metadata"]["name"] for item in everywhere] == [name]


async def test_a_list_of_several_pages_has_every_object_once(gateway: Gateway, name: str) -> None:
    names = {f"{name}-{number}" for number in range(2 * PAGE_SIZE + 1)}
    slots = asyncio.Semaphore(16)

    async def create(item: str) -> None:
        async with slots:
            manifest = configmap(item, data={})
            manifest["metadata"]["labels"][LABEL] = name
            await gateway.create(manifest)

    await asyncio.gather(*(create(item) for item in names))
    found = await gateway.list(CONFIG_MAP, namespace="default", labels={LABEL: name})
    assert sorted(item["metadata"]["name"] for item in found) == sorted(names)
    if isinstance(gateway, KubernetesGateway):
        versions = await gateway.list_versions(CONFIG_MAP, namespace="default", label=f"{LABEL}={name}")
        assert sorted(version.name for version in versions) == sorted(names)


async def test_deletion_of_another_uid_leaves_the_namesake_alone(gateway: Gateway, name: str) -> None:
    created = await gateway.apply(configmap(name, data={}))
    await gateway.delete(CONFIG_MAP, namespace="default", name=name, uid=str(uuid.uuid4()))
    assert await gateway.get(CONFIG_MAP, namespace="default", name=name) is not None
    await gateway.delete(CONFIG_MAP, namespace="default", name=name, uid=created["metadata"]["uid"])
    assert await gateway.get(CONFIG_MAP, namespace="default", name=name) is None


async def test_a_label_is_set_on_what_somebody_else_made_and_nothing_else_changes(gateway: Gateway, name: str) -> None:
    created = await gateway.create(configmap(name, data={"theirs": "1"}))
    where = {"namespace": "default", "name": name, "uid": created["metadata"]["uid"]}
    after = await gateway.label(CONFIG_MAP, **where, labels={"traffic": "quarantined"})
    assert after is not None
    assert after["metadata"]["labels"] == {LABEL: name, "traffic": "quarantined"}
    assert after["data"] == {"theirs": "1"}
    again = await gateway.label(CONFIG_MAP, **where, labels={"traffic": "quarantined"})
    assert again is not None
    assert again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_a_namesake_of_what_was_to_be_labelled_is_left_alone(gateway: Gateway, name: str) -> None:
    where = {"namespace": "default", "name": name, "uid": str(uuid.uuid4())}
    assert await gateway.label(CONFIG_MAP, **where, labels={"traffic": "quarantined"}) is None
    await gateway.create(configmap(name, data={}))
    assert await gateway.label(CONFIG_MAP, **where, labels={"traffic": "quarantined"}) is None
    assert (await get_existing(gateway, CONFIG_MAP, name=name))["metadata"]["labels"] == {LABEL: name}


async def test_the_main_endpoint_ignores_status_and_the_status_endpoint_ignores_the_spec(
    gateway: Gateway, name: str
) -> None:
    manifest = deployment(name)
    created = await gateway.apply({**manifest, "status": {"observedGeneration": 77}})
    assert created.get("status", {}).get("observedGeneration") != 77
    written = await gateway.apply_status(
        POD_DISRUPTION_BUDGET, namespace="default", name=name, uid="none", status={"currentHealthy": 1}
    )
    assert written is None


async def test_status_is_applied_on_its_own_and_gives_up_what_it_leaves_out(gateway: Gateway, name: str) -> None:
    uid = (await gateway.apply(job(name)))["metadata"]["uid"]
    where = {"namespace": "default", "name": name, "uid": uid}
    condition = {
        "status": "True",
        "reason": "Testing",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "lastProbeTime": "2026-01-01T00:00:00Z",
    }
    both = [{"type": "TestA", **condition}, {"type": "TestB", **condition}]
    await gateway.apply_status(JOB, **where, status={"conditions": both})
    after = await gateway.apply_status(JOB, **where, status={"conditions": both[:1]})
    assert after is not None
    assert "TestB" not in [item["type"] for item in after["status"]["conditions"]]
    live = await get_existing(gateway, JOB, name=name)
    assert live["spec"]["suspend"] is True


async def test_status_of_a_namesake_is_not_written(gateway: Gateway, name: str) -> None:
    await gateway.apply(job(name))
    stranger = str(uuid.uuid4())
    assert await gateway.apply_status(JOB, namespace="default", name=name, uid=stranger, status={"active": 0}) is None


def job(name: str) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [{"name": "inspect", "image": "example.invalid/a"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "labels": {LABEL: name}},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }


async def test_a_replace_under_an_old_version_is_a_conflict(gateway: Gateway, name: str) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"holderIdentity": "a"},
    }
    created = await gateway.create(lease)
    taken = {**created, "spec": {"holderIdentity": "b"}}
    replaced = await gateway.replace(taken)
    assert replaced["spec"]["holderIdentity"] == "b"
    with pytest.raises(Conflict):
        await gateway.replace({**created, "spec": {"holderIdentity": "c"}})
    assert (await get_existing(gateway, LEASE, name=name))["spec"]["holderIdentity"] == "b"


async def test_fields_of_another_manager_survive_our_apply(gateway: Gateway, name: str) -> None:
    first = await gateway.create({**configmap(name, data={"theirs": "1"})})
    after = await gateway.apply(configmap(name, data={"ours": "2"}))
    assert after["metadata"]["uid"] == first["metadata"]["uid"]
    assert after["data"] == {"theirs": "1", "ours": "2"}


async def test_a_service_port_merges_by_its_number(gateway: Gateway, name: str) -> None:
    def service(target: str) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"a": target}, "ports": [{"name": "http", "port": 80, "targetPort": target}]},
        }

    await gateway.apply(service("one"))
    after = await gateway.apply(service("two"))
    assert [(port["port"], port["targetPort"]) for port in after["spec"]["ports"]] == [(80, "two")]
    assert after["spec"]["selector"] == {"a": "two"}
    await gateway.delete(SERVICE, namespace="default", name=name)


async def test_a_path_answers_json_and_an_unknown_one_says_404(gateway: Gateway) -> None:
    assert (await gateway.get_path("/openid/v1/jwks"))["keys"]
    with pytest.raises(GatewayError) as caught:
        await gateway.get_path("/no/such/path")
    assert caught.value.status == 404


async def test_a_token_is_for_its_audience_alone_and_lives_ten_minutes(gateway: Gateway, name: str) -> None:
    metadata = {"name": name, "namespace": "default"}
    await gateway.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    token = await gateway.request_token(namespace="default", account=name, audience="runtime/a", seconds=600)
    claims = Claims.read(token)
    assert (claims.audience, claims.seconds) == (("runtime/a",), 600.0)
    assert claims.subject == f"system:serviceaccount:default:{name}"
    await gateway.delete(SERVICE_ACCOUNT, namespace="default", name=name)


async def test_an_account_that_is_not_there_gives_no_token(gateway: Gateway, name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await gateway.request_token(namespace="default", account=name, audience="runtime/a", seconds=600)
    assert caught.value.status == 404


async def test_the_dependents_of_a_deleted_owner_go_with_it(gateway: Gateway, name: str) -> None:
    owner = await gateway.apply(configmap(name, data={}))
    await gateway.apply(owner_of(configmap(f"{name}-child", data={}), owner=owner))
    await gateway.delete(CONFIG_MAP, namespace="default", name=name)
    async with asyncio.timeout(60):
        while await gateway.get(CONFIG_MAP, namespace="default", name=f"{name}-child") is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_deployment_is_found_by_kind(gateway: Gateway, name: str) -> None:
    await gateway.apply(deployment(name))
    assert (await get_existing(gateway, DEPLOYMENT, name=name))["kind"] == "Deployment"
