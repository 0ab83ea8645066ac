"""Golden cases of the reference implementation: computed by a Job before new pods, kept once for each space."""

import contextlib
from typing import Any

import pytest
from faulty_gateway import FaultyGateway
from model_samples import golden, hub_spec, verified_by
from reference_samples import (
    answer_references,
    reference_jobs,
    reference_pods,
    stored_cases,
)
from simulated_cluster import SimulatedCluster
from simulated_controllers import run_job

from embedding_model.goldens.cases import CaseSet, VectorCase
from embedding_operator.api import names
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    Forbidden,
    Gateway,
    GatewayError,
    Object,
    Unreachable,
)


def asking_spec(*cases: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A spec with the default reference, Auto."""
    more = parts.pop("verification", {})
    return hub_spec(verification={**verified_by(*cases), "reference": "Auto", **more}, **parts)


async def verify_first(cluster: SimulatedCluster, spec: dict[str, Any]) -> None:
    cluster.create_model(spec)
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()


async def test_new_pods_wait_for_the_reference_and_mount_it(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "ComputingReference")
    assert cluster.says("Verified") == ("Unknown", "ComputingReference")
    assert cluster.all(DEPLOYMENT) == []
    [job] = reference_jobs(cluster)
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    verification = cluster.status()["verification"]
    assert (verification["source"], verification["passed"], verification["total"]) == ("Reference", 3, 3)
    assert cluster.all(JOB) == [], "the Job has done its work"
    [goldens], [holdout] = (stored_cases(cluster, kind) for kind in (names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT))
    space = job["metadata"]["labels"][names.LABEL_SPACE]
    for half in (goldens, holdout):
        assert half["immutable"] is True
        assert half["metadata"]["labels"][names.LABEL_SPACE] == space == cluster.selected_space()
        assert "sentence-transformers" in half["metadata"]["annotations"][names.ANNOTATION_REFERENCE]
    mounted = str(cluster.all(DEPLOYMENT)[0]["spec"]["template"])
    assert goldens["metadata"]["name"] in mounted
    assert holdout["metadata"]["name"] not in mounted, "no pod knows the holdout"


async def test_cases_of_the_users_own_come_after_those_of_the_reference(cluster: SimulatedCluster) -> None:
    await verify_first(cluster, asking_spec(golden("paris")))
    verification = cluster.status()["verification"]
    assert (verification["source"], verification["total"]) == ("Both", 4)
    [deployment] = cluster.all(DEPLOYMENT)
    [volume] = [item for item in deployment["spec"]["template"]["spec"]["volumes"] if item["name"] == "goldens"]
    sources = [item["configMap"] for item in volume["projected"]["sources"]]
    assert [item["items"] for item in sources] == [
        [{"key": "goldens.jsonl", "path": "0.jsonl"}],
        [{"key": "goldens.jsonl", "path": "1.jsonl"}],
    ]
    first, second = (cluster.find(CONFIG_MAP, item["name"]) for item in sources)
    assert first is not None
    assert second is not None
    assert "reference.0" in first["data"]["goldens.jsonl"]
    assert "paris" in second["data"]["goldens.jsonl"]
    assert names.LABEL_SPACE not in second["metadata"]["labels"]


async def test_a_set_is_computed_once_for_its_space_whatever_changes_beside_it(cluster: SimulatedCluster) -> None:
    await verify_first(cluster, asking_spec(golden("paris")))
    cluster.edit_spec(lambda spec: spec.update(resources={"limits": {"memory": "3Gi"}}))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec["verification"].update(goldens=[golden("rome", first=2.0)]))
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Off"))
    await cluster.settle()
    assert cluster.status()["verification"]["source"] == "User"
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    outcome = await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving"), outcome
    assert cluster.status()["verification"]["source"] == "Both"


async def test_another_space_has_a_set_of_its_own_and_the_way_back_computes_nothing(cluster: SimulatedCluster) -> None:
    await verify_first(cluster, asking_spec())
    first = cluster.selected_space()
    cluster.edit_spec(lambda spec: spec.update(embedding={"dimensions": 4}))
    await cluster.settle()
    assert cluster.says("Ready") == ("False", "ComputingReference")
    assert cluster.says("Available") == ("True", "PreviousGenerationServing")
    assert cluster.selected_space() == first
    assert list(cluster.replicas()) == [first], "no pod of the new space is made before its cases are there"
    answer_references(cluster)
    await cluster.settle()
    second = cluster.selected_space()
    assert second != first
    assert cluster.says("Ready") == ("True", "Serving")
    cluster.edit_spec(lambda spec: spec.pop("embedding"))
    await cluster.settle()
    assert cluster.selected_space() == first
    assert cluster.says("Ready") == ("True", "Serving")
    labels = [item["metadata"]["labels"][names.LABEL_SPACE] for item in stored_cases(cluster, names.COMPONENT_HOLDOUT)]
    assert set(labels) == {first, second}, "as long as a generation of a space is kept, so are its cases"


async def test_the_sets_of_spaces_that_are_not_kept_go(cluster: SimulatedCluster) -> None:
    await verify_first(cluster, asking_spec())
    for dimensions in (7, 6, 5, 4):
        cluster.edit_spec(lambda spec, size=dimensions: spec.update(embedding={"dimensions": size}))
        await cluster.settle()
        answer_references(cluster)
        await cluster.settle()
    kept = set(cluster.replicas())
    for component in (names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT):
        labels = {item["metadata"]["labels"][names.LABEL_SPACE] for item in stored_cases(cluster, component)}
        assert labels == kept


@pytest.mark.parametrize("component", [names.COMPONENT_GOLDENS, names.COMPONENT_HOLDOUT])
async def test_half_a_set_that_somebody_deleted_is_computed_again(cluster: SimulatedCluster, component: str) -> None:
    await verify_first(cluster, asking_spec())
    [half] = stored_cases(cluster, component)
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=half["metadata"]["name"])
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "ComputingReference")
    assert len(cluster.all(DEPLOYMENT)) == 1, "what serves goes on"
    run_job(cluster, reference_jobs(cluster)[0])
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert [item["data"] for item in stored_cases(cluster, component)] == [half["data"]]


@pytest.mark.parametrize("first", ["0.999", "0.99"], ids=["from the default", "from below the default"])
async def test_a_raised_threshold_holds_and_computes_nothing_anew(cluster: SimulatedCluster, first: str) -> None:
    await verify_first(cluster, asking_spec(verification={"minCosineSimilarity": first}))
    cluster.edit_spec(lambda spec: spec["verification"].update(minCosineSimilarity="0.9999"))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert read_thresholds(cluster) == {"0.9999"}


def read_thresholds(cluster: SimulatedCluster) -> set[str]:
    """Of every vector case that pods have mounted, and of the holdout that they are asked."""
    [deployment] = cluster.all(DEPLOYMENT)
    [volume] = [item for item in deployment["spec"]["template"]["spec"]["volumes"] if item["name"] == "goldens"]
    mounted = [cluster.find(CONFIG_MAP, item["configMap"]["name"]) for item in volume["projected"]["sources"]]
    sets = [CaseSet.from_jsonl(item["data"]["goldens.jsonl"].encode()) for item in mounted if item]
    orders = [cluster.facts.audits_requested[pod["metadata"]["uid"]] for pod in cluster.pods()]
    assert orders
    assert all(order.holdout.cases for order in orders)
    cases = [case for found in (*sets, *(order.holdout for order in orders)) for case in found.cases]
    return {case.min_cosine_similarity for case in cases if isinstance(case, VectorCase)}


class RefusingOnce(FaultyGateway):
    """Answers `error` to the first write of goldens with the threshold that they were computed with."""

    def __init__(self, inner: Gateway, *, error: GatewayError) -> None:
        super().__init__(inner)
        self._error: GatewayError | None = error

    async def apply(self, manifest: Object, *, force: bool = False) -> Object:
        is_goldens = names.COMPONENT_GOLDENS in manifest["metadata"]["name"]
        if self._error and is_goldens and '"0.999"' in manifest["data"]["goldens.jsonl"]:
            error, self._error = self._error, None
            raise error
        return await super().apply(manifest, force=force)


@pytest.mark.parametrize(
    "error",
    [
        None,
        Forbidden("configmaps is forbidden: exceeded quota: small, count/configmaps", status=403),
        Unreachable('failed calling webhook "x": connection refused', status=500),
    ],
    ids=["deleted by hand", "403", "500"],
)
async def test_a_lowered_threshold_is_raised_again_though_only_the_copy_that_pods_mount_is_left(
    cluster: SimulatedCluster, error: GatewayError | None
) -> None:
    cluster.create_model(asking_spec(verification={"minCosineSimilarity": "0.9"}))
    await cluster.settle()
    answer_references(cluster)
    gateway = RefusingOnce(cluster.gateway, error=error) if error else None
    for _ in range(3):
        with contextlib.suppress(GatewayError):
            await cluster.reconcile(gateway=gateway)
        cluster.step()
    await cluster.settle(gateway=gateway)
    if error is None:
        [original] = [
            item
            for item in stored_cases(cluster, names.COMPONENT_GOLDENS)
            if '"0.999"' in item["data"]["goldens.jsonl"]
        ]
        cluster.gateway.remove(CONFIG_MAP, namespace="search", name=original["metadata"]["name"])
        await cluster.settle()
    assert len(stored_cases(cluster, names.COMPONENT_GOLDENS)) == 1, "the copy"
    assert read_thresholds(cluster) == {"0.9"}
    cluster.edit_spec(lambda spec: spec["verification"].update(minCosineSimilarity="0.999"))
    await cluster.settle()
    assert cluster.says("Verified") == ("True", "GoldensPassed")
    assert read_thresholds(cluster) == {"0.999"}


@pytest.mark.parametrize("threshold", ["0.9", "0.999", "0.9999"])
async def test_a_holdout_that_somebody_deleted_has_the_set_computed_again_whatever_the_threshold(
    cluster: SimulatedCluster, threshold: str
) -> None:
    await verify_first(cluster, asking_spec(verification={"minCosineSimilarity": threshold}))
    [holdout] = stored_cases(cluster, names.COMPONENT_HOLDOUT)
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=holdout["metadata"]["name"])
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "ComputingReference")
    run_job(cluster, reference_jobs(cluster)[0])
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert [item["data"] for item in stored_cases(cluster, names.COMPONENT_HOLDOUT)] == [holdout["data"]]
    assert read_thresholds(cluster) == {threshold}


async def test_the_job_waits_in_the_schedulers_words(cluster: SimulatedCluster) -> None:
    words = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    cluster.trouble = lambda pod: {"phase": "Pending", "conditions": [condition]}
    cluster.create_model(asking_spec())
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "InsufficientCapacity")
    assert words in str(cluster.condition("Ready"))
    cluster.trouble = lambda pod: None
    await cluster.settle()
    answer_references(cluster)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_restarted_operator_finds_the_answer_that_the_job_still_serves(cluster: SimulatedCluster) -> None:
    cluster.create_model(asking_spec())
    await cluster.settle()
    answer_references(cluster)
    # Killed between the write of the first half and the second.
    await cluster.reconcile()
    [holdout] = stored_cases(cluster, names.COMPONENT_HOLDOUT)
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=holdout["metadata"]["name"])
    assert reference_pods(cluster), "the Job stays until both halves are there"
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert len(stored_cases(cluster, names.COMPONENT_HOLDOUT)) == 1


@pytest.mark.parametrize("policy", ["Warn", "Block"])
@pytest.mark.parametrize("cases", [[], [golden("paris")]], ids=["no cases before", "the user's cases before"])
async def test_what_serves_is_not_called_verified_by_a_reference_that_was_turned_on_and_is_not_there_yet(
    cluster: SimulatedCluster, policy: str, cases: list[dict[str, Any]]
) -> None:
    """Its pods are not marked: what they were asked they passed."""
    verification = {**verified_by(*cases), "reference": "Off", "failurePolicy": policy}
    cluster.create_model(hub_spec(verification=verification))
    await cluster.settle()
    serving = cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec["verification"].update(reference="Auto"))
    await cluster.settle()
    assert cluster.says("Verified") == ("Unknown", "ComputingReference")
    assert cluster.says("Ready") == ("False", "ComputingReference")
    assert cluster.says("Available") == ("True", "MinimumAvailable")
    assert cluster.ready_pods() == serving
    assert [order.objection for order in cluster.facts.audits_requested.values()] == [""]
    answer_references(cluster)
    for _ in range(100):
        await cluster.reconcile()
        cluster.step()
        said = cluster.says("Verified")
        if said is not None and said[0] == "True":
            break
        assert said is not None
        assert said[0] == "Unknown"
    assert not cluster.ready_pods() & serving, "only a pod that has mounted the set can pass it"
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.status()["verification"]["source"] == ("Both" if cases else "Reference")
