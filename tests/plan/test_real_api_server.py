"""What a real API server makes of our manifests still contains them: a settled world is never written again."""

import copy
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from model_samples import golden, hub_spec, image_spec, request_token, resolved, verified_by, volume_spec
from operator_settings import settings
from reference_samples import answer_references, reference_jobs
from simulated_cluster import SimulatedCluster

from embedding_model.ports import JobReport, JobState
from embedding_model.resolved import InspectionResult
from embedding_model.sources.access import Access
from embedding_operator.api import names
from embedding_operator.kube.client import KubernetesGateway
from embedding_operator.kube.connection import load_configuration
from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    PERSISTENT_VOLUME_CLAIM,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from embedding_operator.kube.paths import kind_of
from embedding_operator.plan.compare import contains
from embedding_operator.settings import Hub

PLACEMENT = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoExecute"}],
    "imagePullSecrets": [{"name": "pull"}],
}
RESOURCES = {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"memory": "2048Mi", "nvidia.com/gpu": 1}}
SPECS = {
    "plain": hub_spec(),
    "everything": hub_spec(
        replicas=2,
        verification=verified_by(golden()),
        resources=RESOURCES,
        pod=PLACEMENT,
        runtime={"profile": "cuda", "servedNames": [{"name": "text-embedding-3-small", "prompt": "query"}]},
    ),
    "volume": volume_spec(),
    "token and cache": hub_spec(
        model={"huggingFace": {"repo": "acme/tiny", "tokenSecretRef": {"name": "hf-token"}}},
        cache={"persistentVolumeClaim": {"claimName": "models"}},
    ),
    "reference": hub_spec(
        resources=RESOURCES,
        pod=PLACEMENT,
        cache={"persistentVolumeClaim": {"claimName": "models"}},
        verification=verified_by(golden(), reference="Auto"),
    ),
    "image": image_spec(pod=PLACEMENT, cache={"persistentVolumeClaim": {"claimName": "models"}}),
}
ADMINISTERED = replace(
    settings(),
    hub=Hub(Access(endpoint="https://hub.example", certificates="PEM")),
    registries={"registry.example": Access(endpoint="https://registry.example")},
    proxy={"HTTPS_PROXY": "http://proxy.example:3128"},
)


@pytest.fixture
async def gateway(kubeconfig: Path) -> AsyncIterator[KubernetesGateway]:
    async with KubernetesGateway(await load_configuration(kubeconfig=kubeconfig)) as real:
        yield real


async def _render(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Every manifest that a model of this spec applies first."""
    cluster = SimulatedCluster(settings=ADMINISTERED)
    cluster.facts.resolutions[request_token()] = resolved()
    cluster.gateway.put(
        {
            "apiVersion": "v1",
            "kind": PERSISTENT_VOLUME_CLAIM.kind,
            "metadata": {"namespace": "search", "name": "models"},
        }
    )
    cluster.create_model(spec)
    await cluster.reconcile()
    if reference_jobs(cluster):
        cluster.step()
        answer_references(cluster)
        await cluster.reconcile()
    elif cluster.all(JOB):
        cluster.step()
        found = resolved()
        result = InspectionResult(origin=found.origin, manifest=found.manifest, inspection=found.inspection)
        uid = cluster.pods()[0]["metadata"]["uid"]
        cluster.facts.job_reports[uid] = JobReport(state=JobState.DONE, result=result)
        await cluster.reconcile()
    kinds = (CONFIG_MAP, DEPLOYMENT, JOB, SERVICE, POD_DISRUPTION_BUDGET)
    bodies = [call.body for call in cluster.gateway.writes if call.verb == "apply" and call.body]
    return [_without_version(body) for body in bodies if kind_of(body) in kinds]


def _without_version(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As it is wanted: what is created says besides that nothing may have its name."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "resourceVersion"}
    return {**manifest, "metadata": metadata}


def _make_own(manifest: dict[str, Any], *, suffix: str) -> dict[str, Any]:
    """The manifest under a name of its own, without an owner that the garbage collector would miss, without pods."""
    own = copy.deepcopy(manifest)
    own["metadata"] |= {"namespace": "default", "name": f"{manifest['metadata']['name']}-{suffix}"}
    own["metadata"]["labels"][names.LABEL_MODEL] = suffix
    del own["metadata"]["ownerReferences"]
    if own["kind"] == "Deployment":
        own["spec"]["replicas"] = 0
    if own["kind"] == "Job":
        own["spec"]["suspend"] = True
    return own


@pytest.mark.apiserver
@pytest.mark.parametrize("name", SPECS)
async def test_a_live_object_contains_the_manifest_that_made_it(gateway: KubernetesGateway, name: str) -> None:
    manifests = await _render(SPECS[name])
    assert {item["kind"] for item in manifests} >= {"ConfigMap", "Deployment", "Service"}
    suffix = uuid.uuid4().hex[:10]
    for manifest in manifests:
        own = _make_own(manifest, suffix=suffix)
        kind, at = kind_of(own), {"namespace": "default", "name": own["metadata"]["name"]}
        try:
            await gateway.apply(own)
            live = await gateway.get(kind, **at)
            assert contains(live, wanted=own), f"{own['kind']} would be written again and again"
            again = await gateway.apply(own)
            assert live is not None
            # Controllers write status meanwhile; a generation moves only when a spec does.
            assert again["metadata"].get("generation") == live["metadata"].get("generation")
        finally:
            await gateway.delete(kind, **at)
