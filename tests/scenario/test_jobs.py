"""What the operator cannot resolve itself: images, private hubs and pickles, by a Job in the model's namespace."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from model_samples import (
    COMMIT,
    REPO,
    answered,
    converted_manifest,
    hub_spec,
    image_spec,
    inspection,
    manifest,
    refused,
    request_token,
)
from operator_settings import settings
from simulated_cluster import SimulatedCluster

from embedding_model.ports import JobReport, JobState, Progress
from embedding_model.refusal import Reason, RefusalDocument
from embedding_model.resolved import InspectionResult, Manifest, Origin, SourceKind
from embedding_model.sources.access import Access
from embedding_operator.api.spec import ConversionPolicy
from embedding_operator.kube.gateway import DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM
from embedding_operator.reconcile.outcome import Stalled, Wait
from embedding_operator.settings import Hub

PRIVATE = {"model": {"huggingFace": {"repo": REPO, "revision": "main", "tokenSecretRef": {"name": "hf-token"}}}}
ISOLATED = {"model": {"huggingFace": {"repo": REPO, "revision": "main"}, "conversion": "Isolated"}}


def _report(origin: Origin, *, files: Manifest | None = None) -> JobReport:
    result = InspectionResult(origin=origin, manifest=files or manifest(), inspection=inspection())
    return JobReport(state=JobState.DONE, result=result)


FROM_HUB = Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main", revision=COMMIT)


async def _answer(cluster: SimulatedCluster, report: JobReport) -> dict[str, Any]:
    """The Job's pod, which says this."""
    await cluster.reconcile()
    cluster.step()
    (pod,) = [item for item in cluster.pods() if item["metadata"]["ownerReferences"][0]["kind"] == "Job"]
    cluster.facts.job_reports[pod["metadata"]["uid"]] = report
    return dict(pod["spec"])


def _option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


async def test_a_private_repository_is_resolved_by_a_job_that_sees_the_token_as_a_file(
    cluster: SimulatedCluster,
) -> None:
    cluster.create_model(hub_spec(**PRIVATE))
    await cluster.reconcile()
    assert cluster.facts.resolutions_requested == [], "the operator itself asks nothing"
    assert cluster.says("Reconciling") == ("True", "Resolving")
    (job,) = cluster.all(JOB)
    assert job["metadata"]["name"].startswith("tiny-i")
    pod = await _answer(cluster, _report(FROM_HUB))
    (container,) = pod["containers"]
    assert _option(container["args"], "--origin") == ('{"kind":"HuggingFace","repo":"acme/tiny","requested":"main"}')
    assert _option(container["args"], "--token-file") == "/etc/embedding/token/HF_TOKEN"
    volume = next(item for item in pod["volumes"] if item["name"] == "token")
    assert volume["secret"] == {
        "secretName": "hf-token",
        "items": [{"key": "HF_TOKEN", "path": "HF_TOKEN"}],
        "optional": False,
    }
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.all(JOB) == []
    assert cluster.status()["model"]["revision"] == COMMIT
    assert cluster.status()["model"]["source"] == REPO


async def test_only_the_container_that_fetches_sees_the_token(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(**PRIVATE))
    await _answer(cluster, _report(FROM_HUB))
    await cluster.settle()
    pod = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]
    seen = {item["name"] for item in pod["containers"][0]["volumeMounts"]}
    assert "token" not in seen
    (fetch,) = pod["initContainers"]
    assert "token" in {item["name"] for item in fetch["volumeMounts"]}
    assert not any("valueFrom" in item for item in [*fetch["env"], *pod["containers"][0]["env"]])


async def test_a_private_mirror_is_asked_by_a_job(cluster: SimulatedCluster) -> None:
    hub = Hub(Access(endpoint="https://inside.example", redirect_hosts=("cdn.example",)), private=True)
    cluster.settings = replace(cluster.settings, mirrors={"inside": hub})
    cluster.create_model(hub_spec(model={"huggingFace": {"repo": REPO, "mirror": "inside"}}))
    pod = await _answer(cluster, _report(FROM_HUB.model_copy(update={"mirror": "inside"})))
    arguments = pod["containers"][0]["args"]
    assert _option(arguments, "--endpoint") == "https://inside.example"
    assert _option(arguments, "--redirect-host") == "cdn.example"
    assert cluster.facts.resolutions_requested == []
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_job_for_a_mirror_that_is_not_configured_names_the_mirror(cluster: SimulatedCluster) -> None:
    source = {"repo": REPO, "mirror": "gone", "tokenSecretRef": {"name": "hf-token"}}
    cluster.create_model(hub_spec(model={"huggingFace": source}))
    await cluster.settle()
    assert cluster.says("Stalled") == ("True", "MirrorNotFound")
    assert cluster.says("Resolved") == ("False", "MirrorNotFound")
    assert cluster.all(JOB) == []


async def test_a_job_that_the_hub_did_not_answer_is_made_again(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(**PRIVATE))
    await cluster.reconcile()
    cluster.step()
    ended = {"terminated": {"exitCode": 1, "message": "hub example.org did not answer in time"}}
    failed: Mapping[str, Any] = {"phase": "Failed", "containerStatuses": [{"name": "inspect", "state": ended}]}
    cluster.trouble = lambda pod: failed
    job = cluster.all(JOB)[0]["metadata"]
    conditions = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": "2026-03-01T12:00:01Z"}]}
    cluster.gateway.edit(JOB, lambda item: item.update(status=conditions), namespace="search", name=job["name"])
    cluster.step()
    outcome = await cluster.reconcile()
    assert isinstance(outcome, Wait)
    assert cluster.says("Reconciling") == ("True", "DownloadFailed")
    assert "did not answer in time" in cluster.condition("Reconciling")["message"]  # type: ignore[index]


async def test_a_secret_that_is_missing_is_named_with_its_key(cluster: SimulatedCluster) -> None:
    """The pod stays without a sandbox; the kubelet's words are in an event, which the operator does not read."""
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T12:00:00Z"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    cluster.trouble = lambda pod: {"phase": "Pending", "conditions": conditions}
    cluster.create_model(hub_spec(**PRIVATE))
    await cluster.reconcile()
    cluster.step()
    outcome = await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "Resolving"), "mounting takes a moment"
    assert isinstance(outcome, Wait)
    cluster.pass_time(outcome.after_seconds)
    outcome = await cluster.reconcile()
    assert isinstance(outcome, Wait)
    assert cluster.says("Reconciling") == ("True", "SecretNotFound")
    assert 'key HF_TOKEN of Secret "hf-token"' in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    cluster.trouble = lambda pod: None
    await _answer(cluster, _report(FROM_HUB))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


async def test_a_secret_that_is_gone_when_pods_start_is_named_too(cluster: SimulatedCluster) -> None:
    cluster.create_model(hub_spec(**PRIVATE))
    await _answer(cluster, _report(FROM_HUB))
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-03-01T11:00:00Z"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    await cluster.reconcile()
    cluster.trouble = lambda pod: {"phase": "Pending", "conditions": conditions}
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "SecretNotFound")


async def test_an_image_is_pulled_by_a_job_and_by_every_pod(cluster: SimulatedCluster) -> None:
    cluster.settings = replace(
        cluster.settings,
        registries={"registry.example": Access(endpoint="https://registry.example", certificates="CA")},
    )
    cluster.create_model(image_spec(pod={"imagePullSecrets": [{"name": "one"}, {"name": "two"}]}))
    pod = await _answer(cluster, answered(image_spec()))
    (container,) = pod["containers"]
    assert _option(container["args"], "--endpoint") == "https://registry.example"
    files = [container["args"][at + 1] for at, item in enumerate(container["args"]) if item == "--pull-secret"]
    assert files == ["/etc/embedding/pull/0.json", "/etc/embedding/pull/1.json"]
    assert {"name": "EMBEDDING_RUNTIME_CERTIFICATES", "value": "CA"} in container["env"]
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    status = cluster.status()["model"]
    assert status["source"] == f"image/registry.example/models/tiny@sha256:{'ab' * 32}:/tiny"
    assert (status["revision"], status["shortRevision"]) == (f"sha256:{'ab' * 32}", "abababababab")
    (fetch,) = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]["initContainers"]
    assert _option(fetch["args"], "--endpoint") == "https://registry.example"


async def test_an_image_of_another_registry_is_refused_with_the_known_ones(cluster: SimulatedCluster) -> None:
    cluster.settings = replace(cluster.settings, registries={"known.example": Access(endpoint="https://known.example")})
    cluster.create_model(image_spec())
    assert await cluster.settle() == Stalled("RegistryNotAllowed")
    assert "name known.example (registries)" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert cluster.all(JOB) == []


@pytest.mark.parametrize("registries", [[], ["internal"]])
async def test_an_image_without_a_registry_is_never_mounted(cluster: SimulatedCluster, registries: list[str]) -> None:
    """For want of a dot the kubelet would take "internal" for a folder of Docker Hub, which anybody may own."""
    known = {name: Access(endpoint=f"https://{name}") for name in registries}
    cluster.settings = replace(cluster.settings, image_volumes=True, registries=known)
    spec = image_spec()
    spec["model"]["image"]["reference"] = f"internal/models/tiny@sha256:{'ab' * 32}"
    cluster.create_model(spec)
    assert await cluster.settle() == Stalled("ImageNotFound")
    assert cluster.all(JOB) == []


async def test_where_the_cluster_mounts_images_nothing_is_fetched(cluster: SimulatedCluster) -> None:
    cluster.settings = replace(settings(), image_volumes=True)
    cluster.create_model(image_spec())
    pod = await _answer(cluster, answered(image_spec()))
    mounted = {"reference": f"registry.example/models/tiny@sha256:{'ab' * 32}", "pullPolicy": "IfNotPresent"}
    assert {"name": "model", "image": mounted} in pod["volumes"]
    assert _option(pod["containers"][0]["args"], "--folder") == "/models/tiny"
    await cluster.settle()
    served = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]
    assert "initContainers" not in served
    assert {"name": "model", "image": mounted} in served["volumes"]
    assert _option(served["containers"][0]["args"], "--model") == "/models/tiny"


async def test_a_pickle_is_converted_by_a_job_only_when_the_spec_says_so(cluster: SimulatedCluster) -> None:
    pickle_only = refused(Reason.PICKLE_ONLY, "only pickle; write spec.model.conversion: Isolated")
    cluster.facts.resolutions[request_token()] = pickle_only
    cluster.facts.resolutions[request_token(conversion=ConversionPolicy.ISOLATED)] = pickle_only
    cluster.create_model(hub_spec())
    assert await cluster.settle() == Stalled("PickleOnly")
    assert cluster.all(JOB) == []
    cluster.edit_spec(lambda spec: spec.update(ISOLATED))
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "Converting")
    (job,) = cluster.all(JOB)
    assert job["metadata"]["name"].startswith("tiny-c")
    pod = await _answer(cluster, _report(FROM_HUB, files=converted_manifest()))
    assert _option(pod["containers"][0]["args"], "--conversion") == "Isolated"
    assert "token" not in {item["name"] for item in pod["volumes"]}
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.all(JOB) == []
    (fetch,) = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]["initContainers"]
    assert _option(fetch["args"], "--work") == "/work"


async def test_a_restarted_operator_lets_a_conversion_go_on(cluster: SimulatedCluster) -> None:
    token = request_token(conversion=ConversionPolicy.ISOLATED)
    cluster.facts.resolutions[token] = refused(Reason.PICKLE_ONLY, "only pickle")
    cluster.create_model(hub_spec(**ISOLATED))
    await cluster.settle()
    job = cluster.all(JOB)[0]["metadata"]["uid"]
    del cluster.facts.resolutions[token]  # the hub is asked again
    await cluster.settle()
    assert [item["metadata"]["uid"] for item in cluster.all(JOB)] == [job]
    assert cluster.says("Reconciling") == ("True", "Converting")


async def test_a_job_says_how_far_its_fetch_is(cluster: SimulatedCluster) -> None:
    cluster.facts.resolutions[request_token(conversion=ConversionPolicy.ISOLATED)] = refused(Reason.PICKLE_ONLY, "no")
    cluster.create_model(hub_spec(**ISOLATED))
    progress = Progress(files=3, files_done=1, bytes=4_800_000_000, bytes_done=1_234_000_000)
    await _answer(cluster, JobReport(state=JobState.RUNNING, progress=progress))
    await cluster.reconcile()
    message = cluster.condition("Reconciling")["message"]  # type: ignore[index]
    assert message.endswith("; fetched 1.2 of 4.8 GB, 1 of 3 files")


@pytest.mark.parametrize("spec", [hub_spec(**PRIVATE), image_spec()], ids=["private hub", "image"])
async def test_a_refusal_of_a_job_is_the_models_own(cluster: SimulatedCluster, spec: dict[str, Any]) -> None:
    cluster.settings = replace(cluster.settings, image_volumes=True)
    cluster.create_model(spec)
    refusal = RefusalDocument(reason=Reason.ACCESS_DENIED, message="the token does not open it")
    await _answer(cluster, JobReport(state=JobState.REFUSED, refusal=refusal))
    outcome = await cluster.settle()
    assert isinstance(outcome, Wait)
    assert cluster.says("Stalled") == ("True", "AccessDenied")
    assert cluster.says("Resolved") == ("False", "AccessDenied")


async def test_what_took_gigabytes_to_find_out_is_read_again_only_slowly(cluster: SimulatedCluster) -> None:
    cluster.facts.resolutions[request_token(conversion=ConversionPolicy.ISOLATED)] = refused(Reason.PICKLE_ONLY, "no")
    cluster.create_model(hub_spec(**ISOLATED))
    refusal = RefusalDocument(reason=Reason.CONVERSION_FAILED, message="the pickle holds code")
    await _answer(cluster, JobReport(state=JobState.REFUSED, refusal=refusal))
    job = cluster.all(JOB)[0]["metadata"]["uid"]
    cluster.pass_time(1000)
    await cluster.reconcile()
    assert [item["metadata"]["uid"] for item in cluster.all(JOB)] == [job]
    assert cluster.says("Stalled") == ("True", "ConversionFailed")
    cluster.pass_time(1000)
    await cluster.reconcile()
    assert cluster.all(JOB) == []


async def test_a_job_that_is_refused_its_pod_says_so(cluster: SimulatedCluster) -> None:
    """By a quota: the Job's own status tells nothing of it."""
    cluster.settings = replace(cluster.settings, image_volumes=True)
    cluster.create_model(image_spec())
    await cluster.reconcile()
    outcome = await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "Resolving")
    assert isinstance(outcome, Wait)
    cluster.pass_time(outcome.after_seconds)
    await cluster.reconcile()
    (job,) = cluster.all(JOB)
    assert cluster.says("Reconciling") == ("True", "PodFailed")
    assert f"kubectl describe job {job['metadata']['name']}" in cluster.condition("Reconciling")["message"]  # type: ignore[index]


async def test_a_cache_that_does_not_exist_is_named(cluster: SimulatedCluster) -> None:
    registry = Access(endpoint="https://registry.example")
    cluster.settings = replace(cluster.settings, registries={"registry.example": registry})
    cache = {"persistentVolumeClaim": {"claimName": "cache"}}
    cluster.create_model(image_spec(cache=cache))
    await cluster.settle()
    assert cluster.says("Reconciling") == ("True", "VolumeNotFound")
    assert "spec.cache.persistentVolumeClaim.claimName" in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    claim = {"namespace": "search", "name": "cache"}
    cluster.gateway.put({"apiVersion": "v1", "kind": PERSISTENT_VOLUME_CLAIM.kind, "metadata": claim})
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "Resolving")
