"""Whoever may write ConfigMaps, and nothing else, makes one that looks like ours: nothing in it is ever used.

The attacker knows every name, label and uid, and deletes what stands in the way. `plant` gives a ConfigMap the owner
that the operator looks for.
"""

import copy
from typing import Any

import orjson
import pytest
from model_samples import COMMIT, golden, hub_spec, request_token, resolved, verified_by
from operator_settings import settings
from reference_samples import answer_references, reference_jobs, stored_cases
from simulated_cluster import KEY, SimulatedCluster
from simulated_controllers import run_job

from embedding_model.goldens.cases import CaseSet
from embedding_model.resolved import ResolvedModel
from embedding_operator.api import names
from embedding_operator.children.config_maps import TEMPLATE_FILE
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, EMBEDDING_MODEL
from embedding_operator.observe.stored_reference import identify_cases

EVIL = "attacker.example/image:1"


def stored(cluster: SimulatedCluster, component: str) -> list[dict[str, Any]]:
    found = cluster.all(CONFIG_MAP)
    return [item for item in found if item["metadata"]["labels"].get(names.LABEL_COMPONENT) == component]


def plant(cluster: SimulatedCluster, like: dict[str, Any], **changes: Any) -> None:
    """A ConfigMap as `like`, with another name or other data. One of that name is deleted before."""
    planted = copy.deepcopy(like)
    metadata = planted["metadata"]
    metadata["name"] = changes.get("name", metadata["name"])
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        metadata.pop(field, None)
    metadata["ownerReferences"] = [
        {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": KEY.name,
            "uid": cluster.model()["metadata"]["uid"],
            "controller": True,
        }
    ]
    planted["data"] = changes.get("data", planted["data"])
    if cluster.find(CONFIG_MAP, metadata["name"]) is not None:
        cluster.gateway.remove(CONFIG_MAP, namespace=KEY.namespace, name=metadata["name"])
    cluster.gateway.put(planted)


def evil_template(template: dict[str, Any]) -> dict[str, str]:
    """The body of a stored template with an image, a service account and a folder of the node's."""
    body = orjson.loads(template["data"][TEMPLATE_FILE])
    pod = body["template"]["spec"]
    pod["containers"][0]["image"] = EVIL
    pod["serviceAccountName"] = "cluster-admin"
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    return {TEMPLATE_FILE: orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()}


def name_rightly(data: dict[str, str]) -> str:
    """The name that a template of this content has."""
    return names.template_configmap_name(KEY.name, content=data[TEMPLATE_FILE].encode())


def was_evil(cluster: SimulatedCluster) -> bool:
    """Whether anything of the attacker's was ever written to a Deployment, or runs."""
    written = [call.body for call in cluster.gateway.writes if call.kind in ("Deployment", "Job")]
    return EVIL in str([*written, *cluster.all(DEPLOYMENT), *cluster.pods()])


@pytest.mark.parametrize("naming", ["ours", "right"])
@pytest.mark.parametrize("deletes", [True, False], ids=["Deployment deleted", "Deployment kept"])
async def test_a_planted_template_never_becomes_a_deployment(
    cluster: SimulatedCluster, naming: str, deletes: bool
) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    before = [(item["metadata"]["annotations"], item["spec"]) for item in cluster.all(DEPLOYMENT)]
    [template] = stored(cluster, names.COMPONENT_TEMPLATE)
    data = evil_template(template)
    ours = template["metadata"]["name"]
    cluster.gateway.remove(CONFIG_MAP, namespace=KEY.namespace, name=ours)
    plant(cluster, template, data=data, name=name_rightly(data) if naming == "right" else ours)
    if deletes:
        [deployment] = cluster.all(DEPLOYMENT)
        cluster.gateway.remove(DEPLOYMENT, namespace=KEY.namespace, name=deployment["metadata"]["name"])
    await cluster.settle()
    assert not was_evil(cluster)
    assert [(item["metadata"]["annotations"], item["spec"]) for item in cluster.all(DEPLOYMENT)] == before
    assert [item["data"] for item in stored(cluster, names.COMPONENT_TEMPLATE)] == [template["data"]]
    assert cluster.says("Ready") == ("True", "Serving")


async def test_what_is_planted_before_the_first_look_is_not_used_either(cluster: SimulatedCluster) -> None:
    donor = SimulatedCluster()
    donor.facts.resolutions[request_token()] = resolved()
    donor.create_model(hub_spec())
    await donor.settle()
    cluster.create_model(hub_spec())
    [model], [template] = (stored(donor, part) for part in (names.COMPONENT_MODEL, names.COMPONENT_TEMPLATE))
    other = ResolvedModel.from_json(model["data"]["model.json"]).to_json().decode().replace("a" * 64, "b" * 64)
    plant(cluster, model, data={"model.json": other})
    plant(cluster, template, data=evil_template(template))
    await cluster.settle()
    assert not was_evil(cluster)
    assert "b" * 64 not in str(cluster.all(CONFIG_MAP))
    assert cluster.status()["model"]["manifest"] == donor.status()["model"]["manifest"]
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.parametrize("deletes", [True, False], ids=["ours deleted", "ours kept"])
async def test_a_planted_model_is_not_served(cluster: SimulatedCluster, deletes: bool) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    [model] = stored(cluster, names.COMPONENT_MODEL)
    before = cluster.status()["model"]
    other = model["data"]["model.json"].replace("a" * 64, "b" * 64)
    name = names.model_configmap_name(KEY.name, content=other.encode())
    if deletes:
        cluster.gateway.remove(CONFIG_MAP, namespace=KEY.namespace, name=model["metadata"]["name"])
    plant(cluster, model, name=name, data={"model.json": other})
    cluster.facts.resolutions[request_token(commit=COMMIT)] = resolved()
    await cluster.settle()
    assert cluster.status()["model"] == before
    assert [item["data"] for item in stored(cluster, names.COMPONENT_MODEL)] == [model["data"]]
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_model_that_is_said_to_answer_another_question_answers_none(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec())
    await cluster.settle()
    [model] = stored(cluster, names.COMPONENT_MODEL)
    asked = dict(model["metadata"]["annotations"])

    def claim(item: dict[str, Any]) -> None:
        item["metadata"]["annotations"][names.ANNOTATION_REQUEST] = request_token(repo="acme/other")

    cluster.gateway.edit(CONFIG_MAP, claim, namespace=KEY.namespace, name=model["metadata"]["name"])
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(repo="acme/other"))
    await cluster.settle()
    assert cluster.says("Resolved") != ("True", "Resolved")
    cluster.edit_spec(lambda spec: spec["model"]["huggingFace"].update(repo="acme/tiny"))
    await cluster.settle()
    assert [item["metadata"]["annotations"] for item in stored(cluster, names.COMPONENT_MODEL)] == [asked]
    assert cluster.says("Ready") == ("True", "Serving")


def forge_reference(cluster: SimulatedCluster) -> None:
    """A complete set of another implementation's, older than ours, that lets anything pass."""
    for component, name in (
        (names.COMPONENT_GOLDENS, names.goldens_configmap_name),
        (names.COMPONENT_HOLDOUT, names.holdout_configmap_name),
    ):
        [half] = stored_cases(cluster, component)
        cases = CaseSet.from_jsonl(half["data"]["goldens.jsonl"].encode())
        lax = CaseSet(cases=tuple(case.model_copy(update={"min_cosine_similarity": "0.01"}) for case in cases.cases))
        content = lax.to_jsonl()
        space = half["metadata"]["labels"][names.LABEL_SPACE]
        cluster.gateway.remove(CONFIG_MAP, namespace=KEY.namespace, name=half["metadata"]["name"])
        forged = name(KEY.name, content=identify_cases(content, space=space))
        plant(cluster, half, name=forged, data={"goldens.jsonl": content.decode()})


async def test_a_planted_reference_set_judges_nobody(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification={**verified_by(), "reference": "Auto"}))
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    components = (names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT)
    before = [item["data"] for part in components for item in stored_cases(cluster, part)]
    forge_reference(cluster)
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "ComputingReference"), "ours are gone: they are computed again"
    run_job(cluster, reference_jobs(cluster)[0])
    answer_references(cluster)
    await cluster.settle()
    assert [item["data"] for part in components for item in stored_cases(cluster, part)] == before
    assert cluster.says("Ready") == ("True", "Serving")


async def test_the_list_of_what_is_ours_is_no_write_when_nothing_changed(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    listed = {item["name"] for item in cluster.status()["stored"]}
    assert listed == {
        item["metadata"]["name"]
        for part in (names.COMPONENT_MODEL, names.COMPONENT_GOLDENS, names.COMPONENT_TEMPLATE)
        for item in stored(cluster, part)
    }
    cluster.gateway.forget_calls()
    await cluster.reconcile()
    assert cluster.gateway.writes == ()


async def test_an_upgrade_from_a_version_without_the_list_changes_no_child(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    listed = cluster.status()["stored"]
    children = [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)]

    def forget(model: dict[str, Any]) -> None:
        del model["status"]["stored"]

    cluster.gateway.edit(EMBEDDING_MODEL, forget, namespace=KEY.namespace, name=KEY.name)
    cluster.settings = settings(image="runtime:2")
    await cluster.settle()
    assert [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)] == children
    assert cluster.status()["stored"] == listed


async def test_without_a_status_everything_is_found_out_anew_and_ends_the_same(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(verification=verified_by(golden())))
    await cluster.settle()
    children = [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)]
    cluster.gateway.edit(EMBEDDING_MODEL, lambda model: model["status"].clear(), namespace=KEY.namespace, name=KEY.name)
    await cluster.settle()
    assert [*cluster.all(DEPLOYMENT), *cluster.all(CONFIG_MAP)] == children
    assert cluster.says("Ready") == ("True", "Serving")
