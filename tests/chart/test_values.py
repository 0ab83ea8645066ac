"""A wrong value fails the install and says which one; what is documented is what exists."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "embedding-operator"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def template(run_helm: Callable[..., Any], **values: Any) -> Any:
    return run_helm(
        *("template", "embedding-operator", str(CHART), "--values", str(CHART / "ci" / "minimal-values.yaml")),
        values=values,
    )


@pytest.mark.parametrize(
    ("values", "word"),
    [
        pytest.param({"replica": 2}, "replica", id="a misspelt value"),
        pytest.param({"image": {"registry": "x"}}, "registry", id="a misspelt value inside another"),
        pytest.param({"profiles": {"cpu": {"gpu": True}}}, "gpu", id="a misspelt value of a profile"),
        pytest.param({"replicas": "two"}, "replicas", id="a word for a number"),
        pytest.param({"workers": 0}, "workers", id="no workers"),
        pytest.param({"hub": {"endpoint": "huggingface.co"}}, "endpoint", id="a hub without scheme"),
        pytest.param(
            {"hub": {"endpoint": "https://user:secret@hub.example.org"}}, "endpoint", id="a hub with credentials"
        ),
        pytest.param({"hub": {"mirrors": {"Corp": "https://mirror"}}}, "Corp", id="a mirror's name in capitals"),
        pytest.param({"runtime": {"upgradePolicy": "Always"}}, "upgradePolicy", id="an unknown upgrade policy"),
        pytest.param({"profiles": {"cpu": {"device": "tpu"}}}, "device", id="an unknown device"),
        pytest.param({"profiles": {"arm": {}}}, "device", id="a profile without device"),
        pytest.param({"image": {"digest": "sha256:1"}}, "digest", id="half a digest"),
        pytest.param({"image": {"repository": "registry/name:tag"}}, "repository", id="a tag in the repository"),
        pytest.param({"watchNamespaces": ["a", "a"]}, "watchNamespaces", id="a namespace twice"),
        pytest.param({"resources": {"limits": {"memory": "much"}}}, "memory", id="a quantity in words"),
        pytest.param({"log": {"level": "loud"}}, "level", id="an unknown log level"),
    ],
)
def test_a_wrong_value_fails_the_install_by_its_name(
    run_helm: Callable[..., Any], values: Mapping[str, Any], word: str
) -> None:
    result = template(run_helm, **values)
    assert result.returncode != 0
    assert "values don't meet the specifications" in result.stderr
    assert word in result.stderr


def test_images_that_are_not_set_are_asked_for(run_helm: Callable[..., Any]) -> None:
    nothing = run_helm("template", "embedding-operator", str(CHART))
    assert nothing.returncode != 0
    assert "image.repository: set it to where the" in nothing.stderr
    operator = template(run_helm, image={"repository": ""})
    assert "image.repository: set it to where the operator image is" in operator.stderr
    runtime = template(run_helm, runtime={"image": {"repository": ""}})
    assert "runtime.image.repository: set it to where the runtime image is" in runtime.stderr
    reference = template(run_helm, runtime={"referenceImage": {"repository": ""}})
    assert "runtime.referenceImage.repository: set it to where the reference image is" in reference.stderr


def test_a_default_profile_that_is_not_there_is_refused_with_those_that_are(run_helm: Callable[..., Any]) -> None:
    result = template(run_helm, runtime={"defaultProfile": "tpu"})
    assert "expected one of profiles (cpu, cuda), found tpu" in result.stderr


def test_an_existing_service_account_must_be_named(run_helm: Callable[..., Any]) -> None:
    result = template(run_helm, serviceAccount={"create": False})
    assert "serviceAccount.name: with serviceAccount.create=false, name the existing ServiceAccount" in result.stderr


def keys(values: Mapping[str, Any], schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Where values.yaml and the schema's properties differ, as (path, which one lacks it)."""
    properties = schema.get("properties", {})
    for name in properties.keys() - values.keys() - {"global"}:
        yield f"{path}{name}", "values.yaml"
    for name, value in values.items():
        if name not in properties:
            yield f"{path}{name}", "values.schema.json"
        elif "properties" in properties[name] and isinstance(value, Mapping):
            yield from keys(value, properties[name], f"{path}{name}.")


def test_values_and_their_schema_name_the_same_keys() -> None:
    assert not list(keys(VALUES, SCHEMA))


def objects(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from objects(part, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from objects(schema["additionalProperties"], f"{path}.*")


def test_every_level_that_has_names_is_closed_to_others() -> None:
    open_levels = [
        path
        for path, schema in objects(SCHEMA)
        if "properties" in schema and schema["additionalProperties"] is not False
    ]
    assert not open_levels


def test_every_value_is_explained_in_a_sentence() -> None:
    named = [(path, schema) for path, schema in objects(SCHEMA) if path and not path.endswith("*")]
    assert not [path for path, schema in named if not schema.get("description", "").endswith(".")]
