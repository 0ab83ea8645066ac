"""Pods of every kind of source: what is mounted where, who sees which secret, and what the runtime is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import kubernetes_validate
import pytest
from model_samples import REPO, converted_manifest, hub_spec, image_spec, inspection, manifest, resolved, volume_spec
from operator_settings import settings

from embedding_model.resolved import Declared, Origin, ResolvedModel, SourceKind, Task
from embedding_model.serving import Overrides, apply_overrides
from embedding_model.sources.access import Access
from embedding_operator.api.spec import parse_spec
from embedding_operator.children.deployment import deployment_body
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering
from embedding_operator.children.resolve_job import resolve_job
from embedding_operator.judge.inputs import hash_inputs
from embedding_operator.observe.facts import ResolutionRequest
from embedding_operator.settings import Hub, Settings
from embedding_runtime.commands.fetch import fetch
from embedding_runtime.commands.resolve import resolve
from embedding_runtime.commands.serve import serve

OWNER = Owner(namespace="search", name="tiny", uid="3f1c")
SPACE = "sp1-" + "0123456789abcdef" * 2
CACHE = {"persistentVolumeClaim": {"claimName": "model-cache"}, "verify": "Quick"}
SECRETS = {"imagePullSecrets": [{"name": "one"}, {"name": "two"}]}
PROXY = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".svc"}


def administered(*, image_volumes: bool = False) -> Settings:
    """Everything that an administrator can say about sources."""
    return replace(
        settings(),
        hub=Hub(Access(endpoint="https://hub.example", redirect_hosts=("cdn.example",), certificates="PEM")),
        registries={"registry.example": Access(endpoint="https://registry.example", redirect_hosts=())},
        image_volumes=image_volumes,
        proxy=PROXY,
    )


@dataclass(frozen=True)
class Case:
    spec: Mapping[str, Any]
    converted: bool = False
    image_volumes: bool = False


def private_hub(**parts: Any) -> dict[str, Any]:
    return hub_spec(model={"huggingFace": {"repo": REPO, "tokenSecretRef": {"name": "hf-token"}}}, **parts)


def isolated(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "model": {**spec["model"], "conversion": "Isolated"}}


CASES = {
    "hub": Case(hub_spec()),
    "hub, cache": Case(hub_spec(cache=CACHE)),
    "hub, token": Case(private_hub()),
    "hub, token, cache, pickle": Case(isolated(private_hub(cache=CACHE)), converted=True),
    "hub, pickle": Case(isolated(hub_spec()), converted=True),
    "claim": Case(volume_spec()),
    "claim, cache that is not needed": Case(volume_spec(cache=CACHE)),
    "claim, pickle": Case(isolated(volume_spec()), converted=True),
    "claim, pickle, cache": Case(isolated(volume_spec(cache=CACHE)), converted=True),
    "image": Case(image_spec(pod=SECRETS)),
    "image, cache": Case(image_spec(cache=CACHE)),
    "image, pickle": Case(isolated(image_spec()), converted=True),
    "image volume": Case(image_spec(pod=SECRETS), image_volumes=True),
    "image volume, pickle": Case(isolated(image_spec()), converted=True, image_volumes=True),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def origin_of(spec: Mapping[str, Any]) -> Origin:
    source = parse_spec(spec).model
    if source.image:
        return Origin(kind=SourceKind.IMAGE, image=source.image.reference, path=source.image.path)
    if source.persistent_volume_claim:
        claim = source.persistent_volume_claim
        return Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim=claim.claim_name, path=claim.path)
    return resolved().origin


def document_of(case: Case) -> ResolvedModel:
    serving, _ = apply_overrides(inspection(), overrides=Overrides())
    files = converted_manifest() if case.converted else manifest()
    return ResolvedModel(
        origin=origin_of(case.spec), manifest=files, inspection=inspection(), serving=serving, space=SPACE
    )


def pod_of(case: Case) -> dict[str, Any]:
    rendering = Rendering(
        model="tiny",
        resolved=document_of(case),
        model_config_map="tiny-model-aaaaaaaaaa",
        goldens_config_maps=(),
        inputs="cccccccccc",
    )
    body = deployment_body(
        rendering, spec=parse_spec(case.spec), settings=administered(image_volumes=case.image_volumes)
    )
    kubernetes_validate.validate(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {**body, "replicas": 1}},
        "1.34",
        strict=True,
    )
    pod: dict[str, Any] = body["template"]["spec"]
    return pod


def job_pod_of(case: Case) -> dict[str, Any]:
    spec = parse_spec(case.spec)
    request = ResolutionRequest(
        origin_of(case.spec), declared=Declared(task=Task.EMBEDDING), conversion=spec.model.conversion
    )
    job = resolve_job(OWNER, request=request, spec=spec, settings=administered(image_volumes=case.image_volumes))
    kubernetes_validate.validate(job, "1.34", strict=True)
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    return pod


def containers(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def mounts(container: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {item["name"]: item for item in container["volumeMounts"]}


@EVERY
def test_the_runtime_understands_what_it_is_told(case: Case) -> None:
    commands: Mapping[str, click.Command] = {"fetch": fetch, "serve": serve, "resolve": resolve}
    for container in (*containers(pod_of(case)), *containers(job_pod_of(case))):
        name, *arguments = container["args"]
        assert name in commands
        commands[name].make_context(name, list(arguments))  # raises UsageError for a flag or a value it does not know


@EVERY
def test_every_volume_is_mounted_and_every_mount_has_its_volume(case: Case) -> None:
    for pod in (pod_of(case), job_pod_of(case)):
        volumes = [item["name"] for item in pod["volumes"]]
        assert len(volumes) == len(set(volumes))
        assert {name for container in containers(pod) for name in mounts(container)} == set(volumes)


@EVERY
def test_the_server_writes_nothing_but_its_temporary_folder_and_sees_no_secret(case: Case) -> None:
    (server,) = pod_of(case)["containers"]
    assert [name for name, item in mounts(server).items() if not item.get("readOnly")] == ["tmp"]
    assert not {"token", "pull-secrets", "source", "work"} & set(mounts(server))
    assert {item["name"] for item in server["env"]} == {"HF_HUB_OFFLINE", "HOME"}


@EVERY
def test_a_claim_and_an_image_are_mounted_read_only(case: Case) -> None:
    for pod in (pod_of(case), job_pod_of(case)):
        sources = [item["name"] for item in pod["volumes"] if item["name"] in ("model", "source")]
        for volume in pod["volumes"]:
            if volume["name"] in sources and "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["readOnly"] is True
        for container in containers(pod):
            for name in sources:
                is_empty = any("emptyDir" in item for item in pod["volumes"] if item["name"] == name)
                assert is_empty or name not in mounts(container) or mounts(container)[name]["readOnly"] is True


@EVERY
def test_secrets_are_files_and_never_variables_or_arguments(case: Case) -> None:
    for pod in (pod_of(case), job_pod_of(case)):
        for container in containers(pod):
            assert not any("valueFrom" in item for item in container["env"])
            assert "envFrom" not in container
            assert "HF_TOKEN" not in {item["name"] for item in container["env"]}


@EVERY
def test_only_pods_with_a_cache_change_the_group_of_a_volume(case: Case) -> None:
    pod = pod_of(case)
    has_cache = any(item["name"] == "cache" for item in pod["volumes"])
    assert ("fsGroup" in pod["securityContext"]) is has_cache
    if has_cache:
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_a_cache_is_written_by_the_fetch_and_read_by_the_server() -> None:
    pod = pod_of(CASES["hub, cache"])
    (fetches,), (server,) = pod["initContainers"], pod["containers"]
    assert mounts(fetches)["cache"] == {"name": "cache", "mountPath": "/cache"}
    assert mounts(server)["cache"] == {"name": "cache", "mountPath": "/cache", "readOnly": True}
    assert server["args"][1:3] == ["--cache", "/cache"]
    assert server["args"][server["args"].index("--cache-verify") + 1] == "Quick"
    assert "model" not in {item["name"] for item in pod["volumes"]}


def test_what_fetches_is_told_the_administrators_way_there() -> None:
    (fetches,) = pod_of(CASES["hub"])["initContainers"]
    environment = {item["name"]: item["value"] for item in fetches["env"]}
    assert environment == {**PROXY, "EMBEDDING_RUNTIME_CERTIFICATES": "PEM", "HOME": "/tmp"}
    arguments = fetches["args"]
    assert arguments[arguments.index("--endpoint") + 1] == "https://hub.example"
    assert arguments[arguments.index("--redirect-host") + 1] == "cdn.example"


def test_a_conversion_gets_memory_and_room_for_its_pickle() -> None:
    pod = pod_of(CASES["hub, pickle"])
    (fetches,) = pod["initContainers"]
    limits = {item["name"]: item["emptyDir"]["sizeLimit"] for item in pod["volumes"] if "emptyDir" in item}
    assert fetches["resources"]["limits"]["memory"] == "6235Mi"  # 512Mi, and twice 3,000,000,000 bytes
    assert limits["work"] == "3118Mi"
    assert "work" not in {item["name"] for item in pod_of(CASES["hub"])["volumes"]}


def test_more_memory_for_the_model_is_more_for_what_reads_and_fetches_it() -> None:
    """The remedy of OutOfMemory helps whichever container ran out."""
    roomy = {"resources": {"limits": {"memory": "20Gi"}}}
    (fetches,) = pod_of(Case(isolated(hub_spec(**roomy)), converted=True))["initContainers"]
    assert fetches["resources"]["limits"]["memory"] == "20Gi"
    (reads,) = job_pod_of(Case(volume_spec(**roomy)))["containers"]
    assert reads["resources"]["limits"]["memory"] == "20Gi"


def test_a_converted_claim_is_read_where_it_is_mounted() -> None:
    pod = pod_of(CASES["claim, pickle"])
    (fetches,), (server,) = pod["initContainers"], pod["containers"]
    assert fetches["args"][fetches["args"].index("--folder") + 1] == "/source/tiny"
    assert server["args"][server["args"].index("--model") + 1] == "/models"


def test_a_job_asks_for_exactly_the_commit_that_is_known() -> None:
    commit = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
    spec = parse_spec(private_hub())
    asked = ResolutionRequest(Origin(kind=SourceKind.HUGGING_FACE, repo=REPO, requested="main"))
    jobs = [resolve_job(OWNER, request=item, spec=spec, settings=settings()) for item in (asked, asked.at(commit))]
    arguments = jobs[1]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert Origin.from_json(arguments[arguments.index("--origin") + 1]).revision == commit
    assert jobs[0]["metadata"]["name"] != jobs[1]["metadata"]["name"]


@pytest.mark.parametrize(
    ("change", "is_other"),
    [
        ({"cache": CACHE}, True),
        ({"model": {"huggingFace": {"repo": REPO, "revision": "main", "tokenSecretRef": {"name": "hf-token"}}}}, True),
        ({"model": {"huggingFace": {"repo": REPO, "revision": "main", "updatePolicy": "Track"}}}, False),
        ({"model": {"huggingFace": {"repo": REPO, "revision": "main"}, "conversion": "Isolated"}}, False),
        ({"space": SPACE}, False),
        ({"task": "Embedding"}, False),
        ({"embedding": {"truncation": "Left"}}, True),
    ],
    ids=["cache", "token", "updatePolicy", "conversion", "space", "task", "truncation"],
)
def test_only_what_changes_a_pod_replaces_pods(change: dict[str, Any], is_other: bool) -> None:
    document = document_of(CASES["hub"])
    plain = hash_inputs(parse_spec(hub_spec()), resolved=document, case_set=None)
    assert (hash_inputs(parse_spec(hub_spec(**change)), resolved=document, case_set=None) != plain) is is_other


@EVERY
def test_every_container_has_a_memory_limit_and_every_folder_a_size(case: Case) -> None:
    """A quota that asks for limits refuses a pod without; a folder without fills its node's disk."""
    for pod in (pod_of(case), job_pod_of(case)):
        assert all("memory" in item["resources"]["limits"] for item in containers(pod))
        assert all("sizeLimit" in item["emptyDir"] for item in pod["volumes"] if "emptyDir" in item)


def test_limits_of_the_user_are_those_of_a_conversion() -> None:
    limits = {"memory": "40Gi", "ephemeral-storage": "300Gi"}
    pod = job_pod_of(Case(isolated(hub_spec(resources={"limits": limits}))))
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "40Gi"}
    assert {"name": "work", "emptyDir": {"sizeLimit": "300Gi"}} in pod["volumes"]
