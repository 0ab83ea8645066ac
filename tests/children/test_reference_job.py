"""The Job of golden cases: it takes a serving pod's place, its files and its device."""

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from model_samples import converted_manifest, hub_spec, image_spec, inspection, manifest, resolved, volume_spec
from operator_settings import settings

from embedding_model.resolved import Origin, ResolvedModel, SourceKind, Weights
from embedding_model.serving import Overrides, apply_overrides
from embedding_operator.api import names
from embedding_operator.api.spec import parse_spec
from embedding_operator.children.deployment import deployment_body
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering
from embedding_operator.children.profile import Unrenderable
from embedding_operator.children.reference_job import COMPUTING_SECONDS, reference_job
from embedding_operator.settings import Settings

OWNER = Owner(namespace="search", name="tiny", uid="3f1c")
SPACE = "sp1-" + "0123456789abcdef" * 2
CACHE = {"persistentVolumeClaim": {"claimName": "model-cache"}}
HUB = resolved().origin
CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/tiny")
IMAGE = Origin(kind=SourceKind.IMAGE, image=image_spec()["model"]["image"]["reference"], path="/tiny")
SOURCES = pytest.mark.parametrize(
    ("origin", "spec"),
    [(HUB, hub_spec()), (HUB, hub_spec(cache=CACHE)), (CLAIM, volume_spec()), (IMAGE, image_spec())],
    ids=["hub", "hub, cache", "claim", "image volume"],
)


def document(origin: Origin = HUB, *, parameters: int = 225, is_converted: bool = False) -> ResolvedModel:
    found = inspection().model_copy(update={"weights": Weights(bytes=parameters * 4, files=1, parameters=parameters)})
    serving, _ = apply_overrides(found, overrides=Overrides())
    files = converted_manifest() if is_converted else manifest()
    return ResolvedModel(origin=origin, manifest=files, inspection=found, serving=serving, space=SPACE)


def administered() -> Settings:
    return replace(settings(), image_volumes=True)


def job_of(spec: dict[str, Any], *, model: ResolvedModel | None = None, question: str = "reference") -> dict[str, Any]:
    job = reference_job(
        OWNER,
        question=question,
        resolved=model or document(),
        model_config_map="tiny-model-aaaaaaaaaa",
        spec=parse_spec(spec),
        settings=administered(),
    )
    kubernetes_validate.validate(job, "1.34", strict=True)
    return job


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def serving_pod(spec: dict[str, Any], *, model: ResolvedModel | None = None) -> dict[str, Any]:
    rendering = Rendering("tiny", model or document(), "tiny-model-aaaaaaaaaa", goldens_config_maps=(), inputs="")
    body = deployment_body(rendering, spec=parse_spec(spec), settings=administered())
    pod: dict[str, Any] = body["template"]["spec"]
    return pod


@SOURCES
def test_it_takes_the_files_as_a_serving_pod_does(origin: Origin, spec: dict[str, Any]) -> None:
    job, server = pod_of(job_of(spec, model=document(origin))), serving_pod(spec, model=document(origin))
    assert job.get("initContainers") == server.get("initContainers")
    assert job["volumes"] == server["volumes"]
    (computes,), (serves,) = job["containers"], server["containers"]
    assert computes["volumeMounts"] == serves["volumeMounts"]
    files = ("--model", "--cache", "--resolved")
    given = [
        {name: args[args.index(name) + 1] for name in files if name in args}
        for args in (computes["args"], serves["args"])
    ]
    assert given[0] == given[1]


def test_it_asks_for_the_place_and_the_device_of_a_serving_pod() -> None:
    asked = {
        "runtime": {"profile": "cuda"},
        "resources": {"limits": {"nvidia.com/gpu": 1}},
        "pod": {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
    }
    job, server = pod_of(job_of(hub_spec(**asked))), serving_pod(hub_spec(**asked))
    for field in ("nodeSelector", "tolerations", "securityContext", "automountServiceAccountToken"):
        assert job[field] == server[field]
    (computes,), (serves,) = job["containers"], server["containers"]
    assert computes["resources"]["requests"] == serves["resources"]["requests"]
    assert computes["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert computes["image"] == "reference:1-cuda"
    assert computes["args"][computes["args"].index("--device") + 1] == "cuda"


def test_its_limit_leaves_room_for_float32_and_its_request_stays_that_of_the_slot() -> None:
    model = document(parameters=2_000_000_000)
    half = hub_spec(runtime={"dtype": "BFloat16"})
    (computes,), (serves,) = (
        pod_of(job_of(half, model=model))["containers"],
        serving_pod(half, model=model)["containers"],
    )
    assert computes["resources"]["requests"] == serves["resources"]["requests"]
    exact = serving_pod(hub_spec(), model=model)["containers"][0]
    assert computes["resources"]["limits"]["memory"] == exact["resources"]["limits"]["memory"]
    assert computes["resources"]["limits"]["memory"] != serves["resources"]["limits"]["memory"]


def test_a_limit_of_the_users_own_is_kept() -> None:
    spec = hub_spec(resources={"limits": {"memory": "3Gi"}})
    assert pod_of(job_of(spec))["containers"][0]["resources"]["limits"] == {"memory": "3Gi"}


def test_it_has_a_deadline_that_follows_what_loading_may_take() -> None:
    fetched = pod_of(job_of(hub_spec(rollout={"startupTimeoutSeconds": 600})))
    mounted = pod_of(job_of(volume_spec(rollout={"startupTimeoutSeconds": 600}), model=document(CLAIM)))
    assert mounted["activeDeadlineSeconds"] == 600 + COMPUTING_SECONDS
    assert fetched["activeDeadlineSeconds"] > mounted["activeDeadlineSeconds"]


def test_what_fails_by_itself_is_tried_again_and_a_refusal_is_not() -> None:
    spec = job_of(hub_spec())["spec"]
    assert spec["backoffLimit"] == 2
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    refused, disrupted = spec["podFailurePolicy"]["rules"]
    assert (refused["action"], refused["onExitCodes"]["values"]) == ("FailJob", [3])
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")


def test_its_pods_are_told_from_those_that_serve() -> None:
    labels = job_of(hub_spec())["spec"]["template"]["metadata"]["labels"]
    assert labels[names.LABEL_COMPONENT] == names.COMPONENT_REFERENCE
    assert labels[names.LABEL_SPACE] == SPACE
    assert names.LABEL_TRAFFIC not in labels


def test_another_question_or_another_pod_is_another_job() -> None:
    plain = job_of(hub_spec())
    found = [plain, job_of(hub_spec(), question="again"), job_of(hub_spec(resources={"limits": {"memory": "3Gi"}}))]
    assert len({job["metadata"]["name"] for job in found}) == 3
    assert all(name.startswith("tiny-r") for name in (job["metadata"]["name"] for job in found))
    same = job_of(hub_spec(replicas=7, verification={"minCosineSimilarity": "0.99"}))
    assert same["metadata"]["name"] == plain["metadata"]["name"]


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(Unrenderable, match="configured: cpu, cuda"):
        job_of(hub_spec(runtime={"profile": "tpu"}))
