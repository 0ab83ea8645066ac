"""Every container that the operator renders starts a command of the runtime with flags that it has."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import click
import pytest
from model_samples import converted_manifest, hub_spec, image_spec, resolved, volume_spec
from operator_settings import settings
from runtime_under_test import resolved_model

from embedding_model.resolved import Declared, Origin, SourceKind, Task
from embedding_model.sources.access import Access
from embedding_operator.api.spec import ConversionPolicy, parse_spec
from embedding_operator.children.deployment import deployment_body
from embedding_operator.children.metadata import Owner
from embedding_operator.children.pod_template import Rendering
from embedding_operator.children.reference_job import reference_job
from embedding_operator.children.resolve_job import resolve_job
from embedding_operator.observe.facts import ResolutionRequest
from embedding_operator.settings import Settings
from embedding_runtime.settings import Device, LogFormat, ServeSettings, TokenIds

OWNER = Owner(namespace="search", name="tiny", uid="3f1c")
HUB = resolved().origin
CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/tiny")
IMAGE = Origin(kind=SourceKind.IMAGE, image=image_spec()["model"]["image"]["reference"], path="/tiny")
CACHE = {"cache": {"persistentVolumeClaim": {"claimName": "cache"}}}
JWT = {"jwksConfigMapRef": {"name": "login"}, "audiences": ["search", "-shop"], "issuer": "https://login.example/"}
AUTH = {"auth": {"apiKeysSecretRef": {"name": "keys"}, "jwt": JWT}, "runtime": {"tokenIds": "Accept"}}
SECRETS = {"pod": {"imagePullSecrets": [{"name": "one"}, {"name": "two"}]}}

SOURCES = [(HUB, hub_spec()), (CLAIM, volume_spec()), (IMAGE, image_spec(**SECRETS))]


def everything_allowed(*, image_volumes: bool) -> Settings:
    access = Access(endpoint="https://registry.example", redirect_hosts=("cdn.example",), certificates="PEM")
    return dataclasses.replace(settings(), registries={"registry.example": access}, image_volumes=image_volumes)


def parse(container: dict[str, Any]) -> dict[str, Any]:
    """The command's parameters, as click understands the container's arguments."""
    name, *arguments = container["args"]
    command: click.Command = getattr(importlib.import_module(f"embedding_runtime.commands.{name}"), name)
    with command.make_context(name, arguments) as context:
        return context.params


def with_token(spec: dict[str, Any]) -> dict[str, Any]:
    source = spec["model"].get("huggingFace")
    token = {"tokenSecretRef": {"name": "hf-token"}}
    return {**spec, "model": {"huggingFace": {**source, **token}}} if source else spec


@pytest.mark.parametrize("image_volumes", [True, False])
@pytest.mark.parametrize("cache", [{}, CACHE])
@pytest.mark.parametrize("conversion", list(ConversionPolicy))
@pytest.mark.parametrize(("origin", "spec"), SOURCES)
def test_the_job_understands_its_arguments(
    origin: Origin, spec: dict[str, Any], conversion: ConversionPolicy, cache: dict[str, Any], image_volumes: bool
) -> None:
    request = ResolutionRequest(origin=origin, declared=Declared(task=Task.EMBEDDING), conversion=conversion)
    job = resolve_job(
        OWNER,
        request=request,
        spec=parse_spec({**with_token(spec), **cache}),
        settings=everything_allowed(image_volumes=image_volumes),
    )
    [container] = job["spec"]["template"]["spec"]["containers"]
    found = parse(container)
    assert Origin.from_json(found["origin"]) == origin
    assert Declared.from_json(found["declared"]).task is Task.EMBEDDING
    assert found["conversion"] == conversion.value
    is_mounted = origin.kind is not SourceKind.HUGGING_FACE and (origin is CLAIM or image_volumes)
    assert (found["folder"] is not None) == is_mounted
    pulls = origin is IMAGE and not image_volumes
    assert (found["work"] is not None) == (pulls or conversion is ConversionPolicy.ISOLATED)
    assert len(found["pull_secrets"]) == (2 if pulls else 0)
    assert (found["token_file"] is not None) == (origin is HUB)


@pytest.mark.parametrize("image_volumes", [True, False])
@pytest.mark.parametrize("cache", [{}, CACHE])
@pytest.mark.parametrize("is_converted", [True, False])
@pytest.mark.parametrize(("origin", "spec"), SOURCES)
def test_a_serving_pod_understands_its_arguments(
    origin: Origin, spec: dict[str, Any], is_converted: bool, cache: dict[str, Any], image_volumes: bool
) -> None:
    manifest = converted_manifest() if is_converted else resolved().manifest
    model = resolved_model().model_copy(update={"origin": origin, "manifest": manifest})
    generation = Rendering(
        model="tiny",
        resolved=model,
        model_config_map="tiny-model-a",
        goldens_config_maps=["tiny-goldens-b"],
        inputs="c",
    )
    body = deployment_body(
        generation,
        spec=parse_spec({**with_token(spec), **cache, **AUTH}),
        settings=everything_allowed(image_volumes=image_volumes),
    )
    pod = body["template"]["spec"]
    fetches = [parse(container) for container in pod.get("initContainers", [])]
    [serves] = [parse(container) for container in pod["containers"]]
    for fetch in fetches:
        assert (fetch["cache"] is None) != (fetch["target"] is None)
        assert fetch["cache"] == serves["cache"]
    assert (serves["cache"] is None) != (serves["model"] is None)
    settings = ServeSettings(**serves)
    assert settings.api_keys == Path("/etc/embedding/api-keys/embedding-api-keys")
    assert settings.jwks == Path("/etc/embedding/jwks/jwks.json")
    assert settings.jwt_audiences == ("search", "-shop")
    assert settings.jwt_issuer == "https://login.example/"
    assert settings.token_ids is TokenIds.ACCEPT
    assert settings.log_format is LogFormat.JSON


@pytest.mark.parametrize("image_volumes", [True, False])
@pytest.mark.parametrize("cache", [{}, CACHE])
@pytest.mark.parametrize("is_converted", [True, False])
@pytest.mark.parametrize(("origin", "spec"), SOURCES)
def test_the_job_of_golden_cases_understands_its_arguments(
    origin: Origin, spec: dict[str, Any], is_converted: bool, cache: dict[str, Any], image_volumes: bool
) -> None:
    manifest = converted_manifest() if is_converted else resolved().manifest
    job = reference_job(
        OWNER,
        question="reference",
        resolved=resolved_model().model_copy(update={"origin": origin, "manifest": manifest}),
        model_config_map="tiny-model-a",
        spec=parse_spec({**with_token(spec), **cache}),
        settings=everything_allowed(image_volumes=image_volumes),
    )
    pod = job["spec"]["template"]["spec"]
    fetches = [parse(container) for container in pod.get("initContainers", [])]
    [computes] = [parse(container) for container in pod["containers"]]
    assert all(fetch["cache"] == computes["cache"] for fetch in fetches)
    assert (computes["cache"] is None) != (computes["model"] is None)
    assert computes["resolved"] == Path("/etc/embedding/model/model.json")
    assert computes["keys"] == Path("/etc/embedding/keys")
    assert computes["device"] is Device.CPU
    assert computes["log_format"] is LogFormat.JSON
